"""Which objects under training/<endpoint>/ are data, and which of them are parts of one table."""

from collections.abc import Iterable

from evergreen.contract.errors import DataError

JSON = (".json", ".jsonl", ".ndjson")
ENDINGS = (".parquet", *(name + gz for name in (".csv", ".tsv", *JSON) for gz in ("", ".gz")))
_LOGS = ("_delta_log", ".hoodie")  # beside files of which some no longer count


def is_data(key: str) -> bool:
    """Say whether an object is data, and no marker, hidden file or folder.

    >>> [is_data(f"training/loan/{name}") for name in ("a.csv", "b/part-0.csv", "b/_SUCCESS", "b/")]
    [True, True, False, False]
    """
    path = key.split("/")[2:]
    hidden = any(part.startswith(("_", ".")) and part.strip(".") for part in path)
    return bool(path and path[-1]) and not hidden and not key.endswith("_$folder$")


def ending(key: str) -> str | None:
    """Return by which of ENDINGS a file is read."""
    return next((end for end in ENDINGS if key.lower().endswith(end)), None)


def tables(keys: Iterable[str]) -> list[list[str]]:
    """Return the keys of each table: of a file, or of all files of one folder below the endpoint's.

    Raises DataError for a folder whose files do not say all by themselves.
    """
    found: dict[str, list[str]] = {}
    for key in keys:
        folders = key.split("/")[2:-1]
        if any(log in folders for log in _LOGS):
            said = "it is of a table whose log says which files count, and logs are not read"
            raise DataError(f"{key}: {said}: upload it as plain Parquet")
        if not is_data(key):
            continue
        if any("=" in folder for folder in folders):
            said = "a column's values are the names of folders: write it without partitions"
            raise DataError(f"{key}: {said}")
        found.setdefault("/".join(folders) or key, []).append(key)
    return list(found.values())
