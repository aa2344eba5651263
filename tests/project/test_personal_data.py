"""docs/personal-data.md: every place is listed, and what it says erases is gone."""

import re
from datetime import timedelta

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import decompressed
from evergreen.captures.erasure import erase
from evergreen.captures.label_join import join
from evergreen.captures.recorded import Recorded
from evergreen.contract.schema import JsonSchema
from evergreen.monitoring.hourly_counts import Hours
from evergreen.training.train_version import Trained
from local.template import ROOT, Template
from tests.support import given
from tests.support.given import NAME, START, capture, deliver, label
from tests.support.memory import compacted

PAGE = (ROOT / "docs" / "personal-data.md").read_text()


def test_every_folder_that_expires_stands_in_the_table(template: Template) -> None:
    rules = template.resources["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    prefixes = {rule["Prefix"] for rule in rules if "Prefix" in rule}

    rows = [line for line in PAGE.splitlines() if line.startswith("| `DATA/")]
    listed = {found for row in rows if "CaptureRetentionDays" in row
              for found in re.findall(r"DATA/(\w+/)", row)}  # fmt: skip

    assert listed == prefixes
    assert "| `DATA/training/{endpoint}/` |" in PAGE


def test_a_prediction_that_is_erased_is_nowhere_and_teaches_nothing(
    bucket: Store, schema: JsonSchema, trained: Trained
) -> None:
    marker, end = "ZQ7X", START + timedelta(days=3)
    manifest = msgspec.structs.replace(trained.manifest, version=given.version(1))
    gone = capture(1, features=given.whole(carrier=marker))
    for zipped in (True, False):
        deliver(bucket, [gone, capture(2)], START, f"{zipped}", zipped=zipped)
        deliver(bucket, [label(1), label(2)], START, f"{zipped}", zipped=zipped)
    odd = msgspec.structs.replace(gone, version="20130101T000000Z-00000000", features={"x": marker})
    deliver(bucket, [odd], START, "odd")
    recorded = compacted(bucket)
    before = join(recorded, schema, START, end)
    Hours(recorded, manifest, [manifest.version]).between(START, end)
    bucket.put(f"drift/{NAME}/2013-01-02T05.json", f'{{"rows": ["{gone.id}"]}}'.encode())

    changed = erase(bucket, NAME, [gone.id], lambda _: None)
    after = join(compacted(bucket), schema, START, end)

    assert (before.joined, after.joined) == (2, 1)
    assert gone.id not in Recorded(bucket, NAME).predictions(START, end)["id"]
    assert set(changed) >= {"captures/", "labels/", f"rows/{NAME}/", f"hours/{NAME}/"}
    for key in bucket.keys(""):
        stored = bucket.get(key)
        body = decompressed(stored.body) if stored else None
        assert body is not None
        assert not {word for word in (marker.encode(), gone.id.encode()) if word in body}, key
    assert not erase(bucket, NAME, [gone.id], lambda _: None)
