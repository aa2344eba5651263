"""A million rows through the state machine, of which one chunk always fails."""

import json
from typing import Any

import pytest

from evergreen.aws.s3 import Store
from evergreen.batch.plan import planned
from evergreen.registry.manifest import Manifest
from local.plane.plane import Plane
from tests.support import given, machines
from tests.support.given import NAME

FILE = f"batch/in/{NAME}/million.jsonl"
ROWS = 1_000_000


def test_of_a_million_rows_all_but_those_of_the_chunk_that_always_fails_are_scored_once(
    plane: Plane, data: Store, champion: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps(given.row(hour=n % 24, weekday=n % 7)).encode() for n in range(1_000)]
    data.put(FILE, b"\n".join(lines * (ROWS // 1_000)))
    invoke = plane.invoke

    def failing(function: str, event: dict[str, Any], request_id: str = "") -> Any:
        if event.get("score", {}).get("number") == 3:
            raise ConnectionError("S3 is away")
        return invoke(function, event, request_id)

    monkeypatch.setattr(plane, "invoke", failing)
    stored = data.get(FILE, 1)
    assert stored
    file = {"key": FILE, "etag": stored.etag.strip('"')}
    with machines.interpreted(plane):
        status, _ = machines.execute(plane, {"detail": {"object": file}})

    (key,) = (key for key in data.keys(f"batch/out/{NAME}/") if key.endswith("summary.json"))
    place = key.removesuffix("summary.json")
    chunks = planned(data, place)
    kept, scored = data.get(key), 0
    for name in data.keys(f"{place}scores/"):
        found = data.get(name)
        scored += found.body.count(b"\n") if found else 0
    summary = json.loads(kept.body) if kept else {}
    missing = [one["chunk"] for one in summary["missing"]]
    assert (status, summary["status"], missing) == ("FAILED", "incomplete", [3])
    assert len(chunks) >= 9
    assert summary["scored"] == scored
    lost = ROWS - scored
    assert lost == pytest.approx(
        ROWS * (chunks[3].end - chunks[3].start) / chunks[3].size, rel=0.01
    )
