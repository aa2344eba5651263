"""Scores a chunk as predict scores a request; counts what was written against the plan."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from evergreen.aws.s3 import Store
from evergreen.batch.chunk import Chunk, Refused, rows
from evergreen.batch.plan import planned
from evergreen.captures.records import Capture
from evergreen.contract.decoding import MAX_ROWS, PredictRequest
from evergreen.contract.errors import DataError, ModelUnavailableError, worded
from evergreen.contract.files import Files
from evergreen.registry.recalibration import Recalibration
from evergreen.serving.model_cache import Chosen, Serving
from evergreen.serving.scoring import Scored, scored
from evergreen.training.tables.text import OpenQuoteError

MAX_REASONS = 100  # in a summary
READERS = 8
WITHIN_QUOTES = (
    "it begins or ends within a quoted cell, where a line end looks like that of a row: write the "
    "file as Parquet, as JSON lines, or without line ends in cells; where quotes are characters "
    "like others, set Files(quote=None)"
)
Send = Callable[[list[Capture]], None]
_encode = msgspec.json.Encoder(enc_hook=str).encode


def score(
    data: Store, chunk: Chunk, serving: Serving, files: Files, send: Send | None = None
) -> None:
    """Score a chunk and write what came of it, last its counts; what is whole stays as it is.

    send: records predictions, where they are to be recorded, before they are written. Raises what
    keeps the chunk from being scored, once `failed/` says it.
    """
    if data.get(chunk.output("counts")) and data.get(chunk.output("scores"), 1):
        return
    try:
        _score(data, chunk, serving, files, send)
    except Exception as error:  # whatever it is, the summary says it
        said = {"reason": worded(error), "open": isinstance(error, OpenQuoteError)}
        data.put(chunk.output("failed"), _encode(said))
        raise


def _score(data: Store, chunk: Chunk, serving: Serving, files: Files, send: Send | None) -> None:
    chosen = Chosen(serving.version(chunk.endpoint, chunk.version), "champion")
    learnt = None
    if day := chunk.recalibrated:  # of the map of scores that the batch was planned with
        learnt = serving.registry.recalibration(chunk.endpoint, chunk.version, day)
        if learnt is None:
            reason = f"the map of its scores of {day} is gone: put the file again"
            raise ModelUnavailableError(chunk.endpoint, chunk.version, reason)
    out, total = bytearray(), 0
    refused: Refused = []
    fit = rows(data, chunk, chosen.served.decoder, files, refused)
    for good in batched(fit, MAX_ROWS, strict=False):
        asked = [asdict(row) for _, row, _ in good]
        found = _scored(chunk, chosen, asked, learnt)
        answers = found.predictions([f"{chunk.ids}{place:010x}-000" for place, *_ in good])
        if send:
            shown: Any = {"endpoint": chunk.endpoint, "version": chosen.version}
            shown |= {"variant": chosen.variant, "time": chunk.time}
            each = zip(asked, answers, found.recorded, strict=True)
            send([Capture(features=row, **one, **more, **shown) for row, one, more in each])
        for (place, _, rest), answer in zip(good, answers, strict=True):
            line = {"row": place, **answer, "version": chosen.version, "carried": rest}
            out += _encode(line) + b"\n"
        total += len(good)
    refused.sort(key=lambda one: int(one["row"]))
    reasons = Counter(f"{one['field']}: {one['reason']}" for one in refused)
    counts = {"scored": total, "refused": len({one["row"] for one in refused}), "reasons": reasons}
    data.put(chunk.output("refused"), b"".join(_encode(one) + b"\n" for one in refused))
    data.put(chunk.output("scores"), bytes(out))
    data.put(chunk.output("counts"), _encode(counts))


def _scored(
    chunk: Chunk, chosen: Chosen, asked: list[dict[str, Any]], learnt: Recalibration | None
) -> Scored:
    """Return what predict answers.

    A row alone is scored twice: of one row a sum may end in another last bit than of many, and
    which rows come together must not show.
    """
    twice = len(asked) == 1 and chosen.served.model.manifest.kind == "model"
    found = scored(chunk.endpoint, chosen, PredictRequest(asked * (1 + twice), None), learnt)
    raw = None if found.raw is None else found.raw[: len(asked)]
    first = found.scores[: len(asked)]
    return replace(found, asked=PredictRequest(asked, None), scores=first, raw=raw)


def count(data: Store, place: str) -> dict[str, Any]:
    """Count outputs against the plan, and write the summary: `complete`, or which are missing."""
    chunks = planned(data, place)
    if not chunks:
        raise DataError(f"{place} has no plan: put the file under batch/in/ again")
    there = set(data.keys(place))

    def found(chunk: Chunk) -> dict[str, Any]:
        whole = {chunk.output("counts"), chunk.output("scores")} <= there
        stored = data.get(chunk.output("counts" if whole else "failed"))
        never = {"reason": "it was not tried to its end"}
        return msgspec.json.decode(stored.body) if stored else never

    with ThreadPoolExecutor(READERS) as pool:
        ends = list(pool.map(found, chunks))
    within = False  # a quoted cell
    for number, one in enumerate(ends):
        begins, within = within, within ^ one.get("open", False)
        if begins or within:
            ends[number] = {"reason": WITHIN_QUOTES}
    good = [one for one in ends if "reason" not in one]
    reasons = sum((Counter(one["reasons"]) for one in good), Counter[str]())
    missing = [
        {"chunk": chunk.number, "start": chunk.start, "end": chunk.end, **one}
        for chunk, one in zip(chunks, ends, strict=True)
        if "reason" in one
    ]
    summary = {
        "status": "incomplete" if missing else "complete",
        "file": chunks[0].key,
        "version": chunks[0].version,
        "scored": sum(one["scored"] for one in good),
        "refused": sum(one["refused"] for one in good),
        "chunks": len(chunks),
        "missing": missing,
        "reasons": dict(reasons.most_common(MAX_REASONS)),
    }
    data.put(f"{place}summary.json", msgspec.json.format(_encode(summary)))
    return summary


def runs(data: Store, folder: str) -> list[dict[str, Any]]:
    """Return how far the batches of a file are, by the version that scores; see plan.folder."""
    found = []
    for place in (folder + name for name in data.names(folder)):
        summary, begun = (data.get(f"{place}{name}.json") for name in ("summary", "begun"))
        if summary and begun:
            shown, at = msgspec.json.decode(summary.body), msgspec.json.decode(begun.body)
            told = {"begun": at, "status": shown["status"], "summary": shown}
            done = sum(1 for _ in data.keys(f"{place}counts/"))
            found.append({**told, "chunks": len(planned(data, place)), "done": done})
    return found
