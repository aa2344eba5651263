"""Training files that attack: each ends in a reason that says what to do, and in nothing else.

Nothing of a file is executed or fetched, what it may take up is bounded before it becomes a table,
and the champion stays as it was. In S3 there are no links; `make train` follows one that a person
names, and what it finds is data too.
"""

import gzip
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract.errors import DataError
from evergreen.contract.schema import JsonSchema
from evergreen.training import dataset
from evergreen.training.tables import parquet as sealed_parquet
from evergreen.training.tables import text
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, NOW, Bomb, csv
from tests.support.registries import registry_of

FOLDER = f"training/{NAME}"
CANARY = "cmd|' /C calc'!A0"


def parquet(table: pd.DataFrame, folder: Path, options: str = "") -> bytes:
    path = folder / "made.parquet"
    with duckdb.connect() as maker:
        maker.register("made", table)
        maker.execute(f"COPY made TO '{path}' (FORMAT parquet{options})")
    return path.read_bytes()


def wide(columns: int) -> bytes:
    return b",".join(b"c%d" % n for n in range(columns)) + b"\n" + b",".join([b"1"] * columns)


def flights(**columns: Any) -> bytes:
    return csv(given.table(300).assign(**columns))


def with_head(old: str, new: str) -> bytes:
    head, _, rest = flights().partition(b"\n")
    return head.replace(old.encode(), new.encode()) + b"\n" + rest


FILES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    # what is tried: the name of the file, its bytes, and what the reason must say
    "a formula as a category": ("a.csv", lambda _: flights(carrier=f"={CANARY}"), "length <= 4"),
    "a formula as a number": ("a.csv", lambda _: flights(temp="@SUM(1+9)"), "column temp: text"),
    "a formula as a column": (
        "a.csv", lambda _: with_head("carrier", f"=HYPERLINK({CANARY})"), "no column carrier",
    ),
    "a million columns": ("a.csv", lambda _: wide(1_000_000), "line 1 has more than 2,000,000"),
    "very many columns": ("a.csv", lambda _: wide(150_000), "more than 10,000 columns"),
    "one column of a million bytes": ("a.csv", lambda _: b"a\n" + b"1\n" * 1_000_000, "1 columns"),
    "a CSV bomb, one line": ("a.csv", lambda _: b"a,b\n" + b"x" * 20_000_000, "line 2 has more"),
    "a gzip bomb": (
        "a.csv.gz", lambda _: gzip.compress(b"a,b\n" + b"1,2\n" * 7_000_000), "once unpacked",
    ),
    "gzip that is cut off": (
        "a.csv.gz", lambda _: gzip.compress(flights())[:-100], "cut off",
    ),
    "a pickle": ("a.csv", lambda folder: Bomb(folder / "bang").pickled(), "a.csv"),
    "a pickle in Parquet's name": (
        "a.parquet", lambda folder: Bomb(folder / "bang").pickled(), "cannot be read as Parquet",
    ),
    "duplicate columns": ("a.csv", lambda _: with_head("dest", "origin"), "[2, 3] have the same"),
    "a header injection": (
        "a.csv", lambda _: with_head("carrier", 'car"; DROP TABLE found; --'), "a.csv",
    ),
    "NUL bytes": ("a.csv", lambda _: flights().replace(b"UA", b"U\0\0\0A"), "a NUL character"),
    "a number of 5,000 digits": ("a.csv", lambda _: flights(temp="9" * 5_000), "beyond 64 bits"),
    "dates in year 9999": ("a.csv", lambda _: flights(time_hour="9999-12-30T23:00:00Z"), "future"),
    "dates in year 99999": ("a.csv", lambda _: flights(time_hour="99999-12-31"), "column time: "),
    "mixed encodings": (
        "a.csv", lambda _: flights() + "Ünited".encode("utf-16"), "line 302 is not UTF-8",
    ),
    "Latin-1": ("a.csv", lambda _: flights(dest="Köln").decode().encode("latin-1"), "UTF-8"),
    "UTF-16": ("a.csv", lambda _: flights().decode().encode("utf-16"), "a.csv"),
    "a Parquet without its footer": (
        "a.parquet", lambda folder: parquet(given.table(300), folder)[:-50], "cannot be read",
    ),
    "a Parquet whose footer says that it is long": (
        "a.parquet",
        lambda folder: parquet(given.table(300), folder)[:-8] + b"\xff\xff\xff\x7fPAR1",
        "cannot be read",
    ),
    "a Parquet of lists": (
        "a.parquet",
        lambda folder: parquet(given.table(300).assign(temp=pd.Series([[1, 2]] * 300)), folder),
        "a.parquet",
    ),
    "a Parquet bomb": (
        "a.parquet",
        lambda folder: parquet(
            pd.DataFrame({"a": np.zeros(21_000_000, dtype=bool)}), folder, ", COMPRESSION zstd"
        ),
        "21,000,000 rows of 1 columns",
    ),
    "a Parquet bomb of text": (
        "a.parquet",
        lambda folder: parquet(
            pd.DataFrame({"a": ["x" * 1_000_000] * 2_000}), folder, ", COMPRESSION zstd"
        ),
        "takes up more than 1GB",
    ),
}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file unpack to 25 million bytes: what is tried here would be larger in earnest."""
    monkeypatch.setattr(text, "MAX_CHARACTERS", 25_000_000)


@pytest.fixture
def serving(artifacts: Store, trained: Trained) -> Iterator[None]:
    """Serve a champion, and see that not a byte of the registry has changed afterwards."""
    registry = registry_of(artifacts)
    registry.write_version(trained.manifest, trained.artifacts)
    registry.write_document(given.document(trained.manifest.version), None)
    before = contents(artifacts)
    yield
    after = contents(artifacts)
    assert {key: after.get(key) for key in before} == before
    assert all(key.startswith("runs/") for key in after.keys() - before.keys())


def contents(store: Store) -> dict[str, bytes]:
    found = {key: store.get(key) for key in store.keys("")}
    return {key: stored.body for key, stored in found.items() if stored}


@pytest.mark.usefixtures("quick", "small", "serving")
@pytest.mark.parametrize("attack", FILES)
def test_an_attack_ends_in_a_reason_and_the_champion_stays(
    plane: Plane, data: Store, attack: str, tmp_path: Path
) -> None:
    name, made, said = FILES[attack]
    data.put(f"{FOLDER}/good.csv", csv(given.table(300)))
    data.put(f"{FOLDER}/{name}", made(tmp_path))

    run = plane.invoke("TrainFunction", {"endpoint": NAME})

    assert run["outcome"] == "skipped"
    assert said in run["reason"], run["reason"]
    assert not (tmp_path / "bang").exists()


KEYS = [
    "*.csv", "?.csv", "[a-z].csv", "{a,b}.csv", "**/x.csv", "a'); DROP TABLE found; --.csv",
    'a"b.csv', "a\\b.csv", "http://127.0.0.1:1/x.csv", "s3://bucket/x.csv", "/etc/passwd.csv",
    "../../../etc/passwd.csv", "~/x.csv", "a\nb.csv", "é\u202e.csv", f"{'n' * 300}.csv",
    "$HOME.csv",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_the_name_of_a_file_is_only_a_name(bucket: Store, schema: JsonSchema, key: str) -> None:
    bucket.put(f"{FOLDER}/{key}", flights())

    found = dataset.read(bucket, NAME, flight_delay.endpoint, schema, NOW)

    assert found.examples is not None
    assert len(found.examples) == 300


@pytest.fixture
def listener() -> Iterator[tuple[str, list[Any]]]:
    """Listen on 127.0.0.1, and note who comes."""
    came: list[Any] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def accept() -> None:
            try:
                while True:
                    connection, caller = server.accept()
                    came.append(caller)
                    connection.close()
            except OSError:
                pass

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


REACHES = [
    "SELECT * FROM read_csv('{other}')",
    "SELECT * FROM '{other}'",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_csv('{url}/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "COPY found TO '{other}'",
    "ATTACH '{other}' AS another",
    "INSTALL httpfs",
    "LOAD '{other}'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SELECT * FROM secret",
]


@pytest.mark.parametrize("statement", REACHES)
def test_what_reads_a_file_reaches_no_other_and_no_network(
    statement: str, tmp_path: Path, listener: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a file could make DuckDB run a statement."""
    url, came = listener
    own, other = tmp_path / "own.csv", tmp_path / "other.csv"
    own.write_text("a\n1\n")
    other.write_text("a\n2\n")
    secret = pd.DataFrame({"a": [3]})  # noqa: F841 - what DuckDB would find in the frame

    with sealed_parquet.sealed(own) as connection:
        assert connection.execute(f"FROM read_csv('{own}')").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(other=other, url=url)).fetchall()

    assert came == []
    assert other.read_text() == "a\n2\n"


def test_a_file_that_is_a_link_is_what_it_links_to_as_data(
    bucket: Store, schema: JsonSchema, tmp_path: Path
) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to("/etc/passwd")
    bucket.put(f"{FOLDER}/link.csv", link.read_bytes())  # what `make train DATA=` does

    with pytest.raises(DataError) as refused:
        dataset.read(bucket, NAME, flight_delay.endpoint, schema, NOW)

    assert "root" not in str(refused.value)


FLIPS = """
import sys
from pathlib import Path
from evergreen.training.tables import parquet
body, folder = bytearray(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
read = refused = 0
for place in range(len(body) - 400, len(body), 8):
    odd = bytearray(body)
    odd[place] ^= 0xFF
    path = folder / "odd.parquet"
    path.write_bytes(odd)
    try:
        parquet.read(path, {})
        read += 1
    except Exception:
        refused += 1
print(read, refused)
"""


def test_a_footer_with_any_byte_turned_is_read_or_refused_and_ends_no_process(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source.parquet"
    source.write_bytes(parquet(given.table(20), tmp_path))

    found = subprocess.run(
        [sys.executable, "-c", FLIPS, source, tmp_path],
        cwd=Path(dataset.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert found.returncode == 0, found.stderr[-500:]
    read, refused = map(int, found.stdout.split())
    assert read + refused == 50
    assert refused > 10
