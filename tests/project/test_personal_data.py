"""docs/personal-data.md: every place is listed, and what it says erases is gone."""

import re
from datetime import timedelta

from evergreen.aws.s3 import Store
from evergreen.captures.label_join import join
from evergreen.captures.recorded_days import decompressed
from evergreen.contract.schema import JsonSchema
from local.template import ROOT, Template
from tests.support import given
from tests.support.given import NAME, START, capture, deliver, label

PAGE = (ROOT / "docs" / "personal-data.md").read_text()


def test_every_folder_that_expires_stands_in_the_table(template: Template) -> None:
    rules = template.resources["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    prefixes = {rule["Prefix"] for rule in rules if "Prefix" in rule}

    rows = [line for line in PAGE.splitlines() if line.startswith("| `DATA/")]
    listed = {found for row in rows if "CaptureRetentionDays" in row
              for found in re.findall(r"DATA/(\w+/)", row)}  # fmt: skip

    assert listed == prefixes
    assert "| `DATA/training/{endpoint}/` |" in PAGE


def test_a_record_whose_lines_and_caches_are_deleted_is_nowhere_and_teaches_nothing(
    bucket: Store, schema: JsonSchema
) -> None:
    marker, end = "ZQ7X", START + timedelta(days=3)
    gone = capture(1, features=given.whole(carrier=marker))
    deliver(bucket, [gone, capture(2)], START, zipped=False)
    deliver(bucket, [label(1), label(2)], START, zipped=False)
    before = join(bucket, NAME, schema, START, end)

    for key in list(bucket.keys("")):
        stored = bucket.get(key)
        if key.startswith("days/"):
            bucket.s3.delete_object(Bucket=bucket.bucket, Key=key)
        elif stored and gone.id.encode() in stored.body:
            lines = [line for line in stored.body.splitlines() if gone.id.encode() not in line]
            bucket.put(key, b"\n".join(lines) + b"\n")
    after = join(bucket, NAME, schema, START, end)

    assert (before.joined, after.joined) == (2, 1)
    kept = [decompressed(stored.body) for key in bucket.keys("") if (stored := bucket.get(key))]
    assert len(kept) >= 4
    assert not any(marker.encode() in (body or b"") for body in kept)
