"""A file is scored chunk by chunk as predict scores rows, and a count alone calls it complete."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.batch import plan as planning
from evergreen.batch.chunk import Chunk, Refused, rows
from evergreen.batch.plan import chunks, plan, planned
from evergreen.batch.score import count, runs, score
from evergreen.captures import records
from evergreen.captures.records import Capture
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.errors import DataError, NoChampionError
from evergreen.contract.files import PLAIN, Files
from evergreen.contract.schema import JsonSchema
from evergreen.registry.registry import Registry
from evergreen.serving import scoring
from evergreen.serving.model_cache import Serving
from evergreen.training.train_version import Trained
from tests.support import candidates
from tests.support import given as flights
from tests.support.given import NAME, NOW

TABLE = flights.table(240).drop(columns=["arr_delay", "time_hour"])
ROWS = flights.features(TABLE)
FORMATS = ("csv", "jsonl", "parquet")
MARKER = "ZQ7X"


class Desk:
    """A champion, and what people do with files."""

    def __init__(self, registry: Registry, trained: Trained) -> None:
        self.registry, self.data, self.trained = registry, registry.store, trained
        self.serving, self.files = Serving(registry, "onnx", 60.0), PLAIN
        self.promote(candidates.ONE)

    def promote(self, version: str) -> None:
        candidates.written(self.registry, self.trained, version)
        candidates.move(self.registry, "promoted", version)

    def put(self, name: str, body: bytes) -> dict[str, Any]:
        """Put a file and plan it."""
        key = f"batch/in/{NAME}/{name}"
        self.data.put(key, body)
        stored = self.data.get(key, 1)
        assert stored
        return plan(self.serving, self.data, self.files, key, stored.etag.strip('"'), NOW)

    def score(self, place: str, fails: Callable[[Chunk], bool] = lambda _: False) -> dict[str, Any]:
        """Score all chunks but those that fail, and count."""
        for chunk in planned(self.data, place):
            files = self.files if not fails(chunk) else dataclasses.replace(PLAIN, encoding="ascii")
            try:
                score(self.data, chunk, self.serving, files)
            except DataError:
                continue
        return count(self.data, place)

    def lines(self, place: str, kind: str = "scores") -> list[dict[str, Any]]:
        bodies = [self.data.get(key) for key in self.data.keys(f"{place}{kind}/")]
        return [json.loads(line) for one in bodies if one for line in one.body.splitlines()]

    def objects(self, place: str) -> dict[str, bytes]:
        found = {key: self.data.get(key) for key in self.data.keys(place)}
        return {key.removeprefix(place): one.body for key, one in found.items() if one}

    def predicted(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what predict answers."""
        body = flights.body(*rows)
        found = scoring.by_version(self.serving, NAME, candidates.ONE, lambda: body, NOW.date())
        return answers(found.predictions(records.new_ids(len(rows), NOW)))


@pytest.fixture
def desk(registry: Registry, trained: Trained) -> Desk:
    return Desk(registry, trained)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk of text have about 50 rows."""
    monkeypatch.setattr(planning, "ROWS", 50)


def written(table: pd.DataFrame, form: str, folder: Path) -> bytes:
    """Return a table as a file."""
    if form == "csv":
        return flights.csv(table)
    if form == "jsonl":
        return str(table.to_json(orient="records", lines=True)).encode()
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute(f"COPY rows TO '{folder}/a' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    return (folder / "a").read_bytes()


def answers(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is said of rows, without where these stand in a file."""
    apart = ("row", "id", "version", "carried")
    return [{name: line[name] for name in line if name not in apart} for line in lines]


# Scores


@pytest.mark.parametrize("form", FORMATS)
def test_scores_are_those_of_predict_bit_for_bit_and_further_columns_come_along(
    desk: Desk, form: str, tmp_path: Path
) -> None:
    table = TABLE.assign(customer=[f"c{n}" for n in range(len(TABLE))])

    found = desk.put(f"june.{form}", written(table, form, tmp_path))
    summary = desk.score(found["place"])

    lines = desk.lines(found["place"])
    assert answers(lines) == desk.predicted(ROWS)
    assert [line["carried"]["customer"] for line in lines] == list(table["customer"])
    assert {line["version"] for line in lines} == {candidates.ONE}
    assert len({line["id"] for line in lines}) == len(ROWS)
    assert (summary["status"], summary["scored"], summary["refused"]) == ("complete", 240, 0)
    assert found["place"].startswith(f"batch/out/{NAME}/june.{form}-")


def test_values_of_further_columns_are_carried_as_they_are_written(desk: Desk) -> None:
    row = json.dumps(ROWS[0])[1:-1]
    found = desk.put("a.jsonl", b'{%b, "n": 1.10, "big": 123456789012345678901}' % row.encode())

    desk.score(found["place"])

    (key,) = desk.data.keys(f"{found['place']}scores/")
    stored = desk.data.get(key)
    assert stored
    assert b'{"n":1.10,"big":123456789012345678901}' in stored.body


def test_what_parquet_has_and_json_has_not_is_carried_as_text_and_refused_as_a_number(
    desk: Desk, tmp_path: Path
) -> None:
    table = TABLE[:3].assign(at=pd.Timestamp("2013-06-01"), ratio=[1.5, float("inf"), float("nan")])
    table.loc[2, "temp"] = float("inf")

    found = desk.put("a.parquet", written(table, "parquet", tmp_path))
    desk.score(found["place"])

    carried = [line["carried"] for line in desk.lines(found["place"])]
    assert [one["ratio"] for one in carried] == [1.5, "infinity"]
    assert carried[0]["at"].startswith("2013-06-01")
    (refused,) = desk.lines(found["place"], "refused")
    assert (refused["row"], refused["field"]) == (2, "$.temp")


@settings(max_examples=50)
@given(st.data())
def test_any_cuts_give_what_one_chunk_gives(schema: JsonSchema, data: st.DataObject) -> None:
    texts = st.text(st.sampled_from('aé,";\r '), max_size=4)
    rows = [
        row | {"carrier": "A", "dest": data.draw(texts)}
        for row in ROWS[: data.draw(st.integers(0, 8))]
    ]
    form = data.draw(st.sampled_from(["csv", "jsonl"]))
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if form == "csv":
        body = flights.csv(pd.DataFrame(rows, columns=[*ROWS[0], "more"]))
    head = body.index(b"\n") + 1 if form == "csv" else 0
    cuts = sorted({head, *data.draw(st.lists(st.integers(head, len(body)), max_size=5)), len(body)})

    decoder = RowDecoder(schema)
    whole = taken(decoder, body, form, head, [head, len(body)])
    parts = taken(decoder, body, form, head, cuts)

    assert parts == whole
    assert len(whole[0]) + len({one["row"] for one in whole[1]}) == len(rows)


def taken(
    decoder: RowDecoder, body: bytes, form: str, head: int, cuts: list[int]
) -> tuple[list[Any], Refused]:
    """Return the rows of a file that is cut at some bytes, and those that were refused."""
    found: list[Any] = []
    refused: Refused = []
    store: Any = Held(body)
    for start, end in zip(cuts, [*cuts[1:], len(body)], strict=True):
        if start < end:
            chunk = chunk_of(f"a.{form}", len(body), start=start, end=end, head=head)
            found += rows(store, chunk, decoder, PLAIN, refused)
    return found, refused


def chunk_of(name: str, size: int, start: int = 0, end: int = 0, head: int = 0) -> Chunk:
    return Chunk(
        endpoint=NAME,
        key=f"batch/in/{NAME}/{name}",
        etag="e",
        size=size,
        version=candidates.ONE,
        place="out/",
        time=NOW,
        ids="0" * 22,
        start=start,
        end=end,
        head=head,
    )


class Held:
    """A file of which any part is there at once."""

    def __init__(self, body: bytes, size: int = 0) -> None:
        self.body, self.size, self.read = body, size or len(body), 0

    def part(self, _: str, start: int, end: int, __: str) -> tuple[bytes, int]:
        self.read += end - start
        return self.body[start:end], self.size


def test_a_row_alone_in_its_chunk_scores_as_among_others(desk: Desk, small: None) -> None:
    body = flights.csv(TABLE[:20])
    together = desk.put("a.csv", body)
    planning.ROWS = 1
    alone = desk.put("b.csv", body)

    for place in (together["place"], alone["place"]):
        desk.score(place)

    assert len(planned(desk.data, alone["place"])) > 15
    both = [desk.lines(one["place"]) for one in (together, alone)]
    assert answers(both[0]) == answers(both[1])


# Rows that are refused


@pytest.mark.parametrize(
    ("form", "row", "field", "said"),
    [
        ("csv", "{marker},EWR,IAH,1,7", "$", "has 5 cells, and the line of names has 14"),
        ("csv", '{marker}"x",EWR,IAH,1,7,10,,,,,,,,', "$", "has a quote within a cell"),
        ("csv", "UA,{marker},IAH,1,7,10,,,,,,,,", "$.origin", "none of EWR, JFK, LGA"),
        ("csv", "UA,EWR,IAH,1,7,{marker},,,,,,,,", "$.distance", "text with digits where a num"),
        ("csv", "UA,EWR,IAH,1,7,-1,,,,,,,,", "$.distance", "Expected `float` >= 1.0"),
        ("csv", "UA,EWR,IAH,1,,10,,,,,,,,", "$.hour", "Expected `int`, got `null`"),
        ("jsonl", '{{"carrier": "{marker}"', "$", "no object of JSON on a line"),
        ("jsonl", '["{marker}"]', "$", "no object of JSON on a line"),
        ("jsonl", '{{"carrier": "{marker}"}}', "$.origin", "missing"),
        ("jsonl", r'{{"carrier": "\ud800", "more": "{marker}"}}', "$", "no object of JSON on a"),
    ],
)
def test_a_row_that_is_none_is_refused_at_its_place_and_not_quoted(
    desk: Desk, form: str, row: str, field: str, said: str, tmp_path: Path
) -> None:
    first, second = written(TABLE[:1], form, tmp_path), written(TABLE[1:2], form, tmp_path)
    odd = row.format(marker=MARKER).encode() + b"\n"
    body = first.rstrip(b"\n") + b"\n" + odd + second.splitlines()[-1]

    found = desk.put(f"a.{form}", body)
    summary = desk.score(found["place"])

    refused = desk.lines(found["place"], "refused")
    assert {one["row"] for one in refused} == {body.index(odd)}
    assert any(one["field"] == field and said in one["reason"] for one in refused)
    assert (summary["status"], summary["scored"], summary["refused"]) == ("complete", 2, 1)
    assert answers(desk.lines(found["place"])) == desk.predicted(ROWS[:2])
    assert not any(MARKER.encode() in body for body in desk.objects(found["place"]).values())


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"carrier,origin\nUA,EWR\n", "it lacks dest, weekday, hour, distance; the colum"),
        ("a.csv.gz", b"\x1f\x8b", "of a packed file no part can be read"),
        ("a.xlsx", b"PK", "its name ends in none of"),
        ("a.json", b'[{"carrier": "UA"}]', "it begins with no object of JSON"),
        ("a.parquet", b"PAR1", "it is no Parquet"),
        ("a.parquet", b"PAR1" + b"\0" * 60 + b"\x08\0\0\0PAR1", "no Parquet that can be read"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused_for_a_reason(
    desk: Desk, name: str, body: bytes, said: str
) -> None:
    found = desk.put(name, body)

    summary = desk.objects(found["place"])["summary.json"]
    assert found["status"] == "refused"
    assert said in json.loads(summary)["reason"]


def test_an_encoding_in_which_lines_cannot_be_cut_is_refused(desk: Desk) -> None:
    desk.files = Files(encoding="utf-16")

    assert "UTF-16" in desk.put("a.csv", flights.csv(TABLE).decode().encode("utf-16"))["reason"]


def test_a_column_of_parquet_that_no_field_can_be_is_refused(desk: Desk, tmp_path: Path) -> None:
    table = TABLE[:3].assign(carrier=pd.Timestamp("2013-06-01"))

    found = desk.put("a.parquet", written(table, "parquet", tmp_path))

    assert "column carrier: TIMESTAMP" in found["reason"]


def test_without_a_champion_nothing_is_planned(registry: Registry) -> None:
    with pytest.raises(NoChampionError):
        plan(Serving(registry), registry.store, PLAIN, f"batch/in/{NAME}/a.csv", "e", NOW)


# Plans


def test_a_hundred_million_rows_are_planned_from_a_beginning(schema: JsonSchema) -> None:
    body, size = flights.csv(TABLE), 13_000_000_000
    file: Any = Held(body, size)
    began = time.process_time()

    found = list(chunks(file, chunk_of("a.csv", 0), RowDecoder(schema), PLAIN))

    assert time.process_time() - began < 5
    assert file.read <= planning.SAMPLE
    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]
    assert (found[0].start, found[-1].end) == (body.index(b"\n") + 1, size)
    assert size / len(found) * len(TABLE) / len(body) == pytest.approx(planning.ROWS, rel=0.05)


def test_row_groups_of_parquet_are_chunks_and_only_theirs_are_read(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "ROWS", 3_000)
    table = pd.concat([TABLE] * 40, ignore_index=True)
    body = written(table, "parquet", tmp_path)

    found = planned(desk.data, desk.put("a.parquet", body)["place"])

    assert [(one.start, one.end) for one in found] == [(0, 4096), (4096, 8192), (8192, 9600)]
    middle = found[1]
    blank = bytearray(len(body))
    for start, end in ((0, 4), middle.span, (len(body) - middle.head, len(body))):
        blank[start:end] = body[start:end]
    file: Any = Held(bytes(blank))
    decoder = desk.serving.version(NAME, candidates.ONE).decoder
    read = list(rows(file, middle, decoder, PLAIN, []))
    assert [(place, row.hour) for place, row, _ in read] == [
        (n, table["hour"][n]) for n in range(4096, 8192)
    ]


# Once, or incomplete


def test_a_chunk_that_fails_is_named_and_once_it_is_mended_all_is_as_if_it_had_not(
    desk: Desk, small: None
) -> None:
    body = flights.csv(TABLE.assign(note="é"))
    place = desk.put("a.csv", body)["place"]

    before = desk.score(place, fails=lambda chunk: chunk.number == 2)
    kept = desk.objects(place)
    again = desk.put("a.csv", body)
    after = desk.score(again["place"])

    chunk = planned(desk.data, place)[2]
    (missing,) = before["missing"]
    assert before["status"] == "incomplete"
    assert (missing["chunk"], missing["start"], missing["end"]) == (2, chunk.start, chunk.end)
    assert "ASCII" in missing["reason"]
    assert again["place"] == place
    assert (after["status"], after["missing"], after["scored"]) == ("complete", [], 240)
    assert answers(desk.lines(place)) == desk.predicted(ROWS)
    stands = desk.objects(place)
    same = [key for key in kept if key.startswith(("scores/", "counts/", "plan"))]
    assert [kept[key] for key in same] == [stands[key] for key in same]


@pytest.mark.parametrize("kind", ["scores", "counts"])
def test_an_output_that_is_gone_is_missed_and_made_again(
    desk: Desk, small: None, kind: str
) -> None:
    place = desk.put("a.csv", flights.csv(TABLE))["place"]
    desk.score(place)
    before = desk.objects(place)
    lost = planned(desk.data, place)[1]
    desk.data.s3.delete_object(Bucket=desk.data.bucket, Key=lost.output(kind))

    counted = count(desk.data, place)
    desk.score(place)

    assert (counted["status"], [one["chunk"] for one in counted["missing"]]) == ("incomplete", [1])
    assert desk.objects(place) == before


def test_the_version_of_the_plan_scores_though_another_is_champion_by_now(desk: Desk) -> None:
    body = flights.csv(TABLE)
    first = desk.put("a.csv", body)["place"]
    desk.promote(candidates.TWO)

    desk.score(first)
    second = desk.put("a.csv", body)["place"]

    assert {line["version"] for line in desk.lines(first)} == {candidates.ONE}
    assert second == first.replace(candidates.ONE, candidates.TWO)


def test_a_file_that_was_replaced_is_mixed_with_no_other(desk: Desk, small: None) -> None:
    place = desk.put("a.csv", flights.csv(TABLE))["place"]
    chunks = planned(desk.data, place)
    score(desk.data, chunks[0], desk.serving, PLAIN)
    desk.data.put(chunks[0].key, flights.csv(TABLE[::-1]))

    summary = desk.score(place)

    assert [one["chunk"] for one in summary["missing"]] == [one.number for one in chunks[1:]]
    assert "was replaced or deleted" in summary["missing"][0]["reason"]


@pytest.mark.parametrize("within", [1, 2])
def test_a_cut_within_a_quoted_cell_is_found_however_long_the_cell(
    desk: Desk, within: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, *lines = flights.csv(TABLE[:90]).splitlines(keepends=True)
    lines = [line.rstrip(b"\n") + b",x\n" for line in lines]
    lines[45] = lines[45].rstrip(b"x\n") + b'"' + b"".join(lines[:45]) * within + b'"\n'
    body = head.rstrip(b"\n") + b",note\n" + b"".join(lines)
    monkeypatch.setattr(planning, "ROWS", 40)

    place = desk.put("a.csv", body)["place"]
    parts = desk.score(place)
    monkeypatch.setattr(planning, "ROWS", 1_000)
    whole = desk.score(desk.put("b.csv", body)["place"])

    missing = [one["chunk"] for one in parts["missing"]]
    assert parts["status"] == "incomplete"
    assert missing == list(range(1, 2 + within))
    assert "within a quoted cell" in parts["missing"][-1]["reason"]
    assert (whole["status"], whole["scored"]) == ("complete", 90)


def test_predictions_are_recorded_before_they_are_written_and_again_under_the_same_ids(
    desk: Desk,
) -> None:
    place = desk.put("a.csv", flights.csv(TABLE[:3]))["place"]
    (chunk,) = planned(desk.data, place)
    sent: list[Capture] = []

    def send(captures: list[Capture]) -> None:
        assert not list(desk.data.keys(f"{place}scores/"))
        sent.extend(captures)

    score(desk.data, chunk, desk.serving, PLAIN, send)
    desk.data.s3.delete_object(Bucket=desk.data.bucket, Key=chunk.output("scores"))
    score(desk.data, chunk, desk.serving, PLAIN, send)

    assert [one.features for one in sent[:3]] == ROWS[:3]
    assert sent[:3] == sent[3:]
    assert [one.id for one in sent[:3]] == [line["id"] for line in desk.lines(place)]
    assert {(one.variant, one.version) for one in sent} == {("champion", candidates.ONE)}


def test_how_far_a_batch_is_shows_by_version(desk: Desk, small: None) -> None:
    place = desk.put("a.csv", flights.csv(TABLE))["place"]
    chunks = planned(desk.data, place)
    score(desk.data, chunks[0], desk.serving, PLAIN)

    (run,) = runs(desk.data, place.removesuffix(f"{candidates.ONE}/"))

    assert (run["status"], run["done"], run["chunks"]) == ("running", 1, len(chunks))
    with pytest.raises(DataError, match="has no plan"):
        count(desk.data, "batch/out/nothing/")
