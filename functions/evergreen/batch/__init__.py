"""Scores whole files, from S3 to S3: planned in chunks, scored one by one, counted at the end."""
