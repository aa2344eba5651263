"""Have the data or the quality of the predictions moved?"""
