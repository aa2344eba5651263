"""Erase what was recorded of some predictions, wherever the data bucket keeps rows or ids of them.

Training files, versions that learnt from them, and what a bucket keeps of overwritten objects are
not touched: see docs/personal-data.md.
"""

import gzip
from collections import Counter
from collections.abc import Callable, Collection, Iterator

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import NOBODY, decompressed
from evergreen.captures.parquet_parts import Parts
from evergreen.contract.decoding import UNDECODABLE

ERASED = "erased"  # in place of an id on a page
_IDS = (b'"id":"', b'\\"id\\":\\"', b'"id": "', b'\\"id\\": \\"')  # as a line has it, or quotes it


def erase(
    data: Store, endpoint: str, ids: Collection[str], tell: Callable[[str], None]
) -> Counter[str]:
    """Erase the predictions with these ids; return how many objects changed, by their folder.

    tell: called with each key that is looked at. Being cut off does no harm: begin again.
    """
    wanted = frozenset(each.encode() for each in ids)
    changed = Counter[str]()
    for folder, without in (
        ("captures/", _lines), ("labels/", _lines),
        (f"quarantine/{endpoint}/", _lines), (f"quarantine/{NOBODY}/", _lines),
        (f"hours/{endpoint}/", _hours), (f"drift/{endpoint}/", _pages),
    ):  # fmt: skip
        for key in list(data.keys(folder)):
            tell(key)
            stored = data.get(key)
            body = without(stored.body, wanted) if stored else None
            if body is not None:
                data.put(key, body)
                changed[folder] += 1
    parts = Parts(data)
    for folder in (f"rows/{endpoint}/", f"outcomes/{endpoint}/"):
        for key in list(data.keys(folder)):
            tell(key)
            changed[folder] += parts.erase(key, ids)
    return +changed


def _lines(body: bytes, ids: frozenset[bytes]) -> bytes | None:
    """Return lines without those of the ids, or None where there are none; compressed as before."""
    lines = decompressed(body)
    if lines is None or not any(each in lines for each in ids):
        return None
    kept = [line for line in lines.splitlines() if not ids & set(_named(line))]
    text = b"".join(line + b"\n" for line in kept)
    return text if lines is body else gzip.compress(text, mtime=0)


def _named(line: bytes) -> Iterator[bytes]:
    """Yield what may be the id of a line's record."""
    for mark in _IDS:
        for after in line.split(mark)[1:]:
            yield after.partition(b'"')[0].rstrip(b"\\")


def _hours(body: bytes, ids: frozenset[bytes]) -> bytes | None:
    if not any(each in body for each in ids):
        return None
    try:
        day = msgspec.json.decode(body)
        for hour in day["hours"].values():
            hour["sample"] = [row for row in hour["sample"] if row[1].encode() not in ids]
    except (*UNDECODABLE, LookupError, TypeError, AttributeError):
        return b"{}"  # it is a cache, and this one cannot be read anyway
    return msgspec.json.encode(day)


def _pages(body: bytes, ids: frozenset[bytes]) -> bytes | None:
    found = [each for each in ids if each in body]
    for each in found:
        body = body.replace(each, ERASED.encode())
    return body if found else None
