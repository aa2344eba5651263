"""What under training/<endpoint>/ is data, and what is beside it."""

import pytest

from evergreen.contract.errors import DataError
from evergreen.training.tables.folders import is_data, tables

MARKERS = [
    "_SUCCESS", ".DS_Store", "._a.csv", "_committed_12", "_started_12", "d/.part-0.csv.crc", "d/",
    "d/_SUCCESS", "_temporary/0/part-0.csv", "d/.staging/a.csv", "d_$folder$", "",
]  # fmt: skip


@pytest.mark.parametrize("name", MARKERS)
def test_markers_and_hidden_files_are_no_data(name: str) -> None:
    assert not is_data(f"training/loan/{name}")
    assert tables([f"training/loan/{name}"]) == []


@pytest.mark.parametrize("key", ["training/a.csv", "training/", "a.csv"])
def test_what_is_of_no_endpoint_is_no_data(key: str) -> None:
    assert not is_data(key)


def test_a_file_is_a_table_and_so_is_a_folder() -> None:
    names = ["a.csv", "b.csv", "d/0.csv", "d/1.csv", "e/f/0.csv", "e/0.csv"]

    found = tables(f"training/loan/{name}" for name in names)

    short = [[key.removeprefix("training/loan/") for key in keys] for keys in found]
    assert short == [["a.csv"], ["b.csv"], ["d/0.csv", "d/1.csv"], ["e/f/0.csv"], ["e/0.csv"]]


@pytest.mark.parametrize("name", ["d/_delta_log/0.json", "d/.hoodie/x", "d/day=1/0.parquet"])
def test_a_folder_whose_files_do_not_say_all_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"training/loan/{name}"):
        tables([f"training/loan/{name}"])
