"""The replay of one prediction: the recorded version scores the recorded request once more.

All rows of the request are scored together, as they were then: a sum over another number of rows
may end in another last bit.
"""

import math
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL, BUFFER
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture
from evergreen.captures.search import uncompacted
from evergreen.contract import errors
from evergreen.contract.errors import EvergreenError, Fault, InvalidRequestError
from evergreen.contract.identifiers import PREDICTION
from evergreen.registry.manifest import Manifest
from evergreen.registry.recalibration import Recalibration
from evergreen.registry.registry import Registry
from evergreen.serving.model import artifact_of, fetch

EXTERNAL = "another service answered over HTTP: what it would say today proves nothing of then"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a replay: what was done, in words, and its figures."""

    step: str
    text: str
    figures: dict[str, Any] = {}


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay; identical: whether the answer came out bit for bit, None where nothing could be."""

    id: str
    endpoint: str
    version: str
    identical: bool | None
    steps: list[Step]


def time_of(prediction: str, now: datetime) -> datetime:
    """Return when a prediction was made, which its id begins with.

    Raises InvalidRequestError for what is no id, or one of the future.

    >>> time_of(f"{1_360_000_000_000:012x}{20 * '0'}-000", datetime(2014, 1, 1, tzinfo=UTC))
    datetime.datetime(2013, 2, 4, 17, 46, 40, tzinfo=datetime.timezone.utc)
    """
    if not PREDICTION.fullmatch(prediction):
        raise InvalidRequestError(
            [Fault("id", "expected the id of a prediction: 32 hexadecimal digits, -, 3 digits")]
        )
    milliseconds = int(prediction[:12], 16)
    if milliseconds > (now + BUFFER).timestamp() * 1000:
        raise InvalidRequestError([Fault("id", "its first 12 digits are a time in the future")])
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def request_of(data: Store, endpoint: str, prediction: str, now: datetime) -> list[Capture]:
    """Return the captures of the request that a prediction belongs to, in the order of its rows.

    Raises InvalidRequestError, and UnknownPredictionError where nothing was recorded or it is gone.
    """
    time, request = time_of(prediction, now), prediction.rpartition("-")[0]
    found = Recorded(data, endpoint).request(request, time) or {
        capture.id: capture
        for capture in uncompacted(data, "captures", time, time + ARRIVAL, Capture, f"{request}-")
        if capture.endpoint == endpoint and capture.id.startswith(f"{request}-")
    }
    if prediction not in found:
        raise errors.UnknownPredictionError(endpoint, prediction)
    return [found[each] for each in sorted(found)]


def replay(
    registry: Registry,
    captures: list[Capture],
    prediction: str,
    runtime: str,
    libraries: Mapping[str, str],
) -> Replay:
    """Score the request of a prediction again.

    captures: what `request_of` returned. runtime: the ServingRuntime. libraries: the versions of
    those that score now, by name.
    """
    place = next(n for n, capture in enumerate(captures) if capture.id == prediction)
    recorded = captures[place]
    steps = [_captured(recorded, captures), _answered(recorded)]

    def ended(identical: bool | None, *more: Step) -> Replay:
        own = {"endpoint": recorded.endpoint, "version": recorded.version}
        return Replay(id=prediction, identical=identical, steps=[*steps, *more], **own)

    try:
        manifest = registry.manifest(recorded.endpoint, recorded.version)
        if manifest is None:
            reason = "its manifest is gone from the registry"
            raise errors.ModelUnavailableError(recorded.endpoint, recorded.version, reason)
        steps.append(_versioned(registry, manifest))
        if manifest.kind == "external" and recorded.failed != recorded.version:
            return ended(None, _step("stopped", EXTERNAL))
        model = fetch(registry, manifest, runtime, to_serve=False)
    except EvergreenError as error:
        return ended(None, _step("stopped", str(error)))
    steps += [_verified(manifest, artifact_of(manifest.kind, runtime))]
    steps += [_libraries(manifest, libraries), _features(recorded, manifest.hidden)]
    score = model.scores_instead if model.instead else model.scores_of  # its service was away
    scores = score([one.features for one in captures])
    if recorded.recalibration:
        try:
            day = date.fromisoformat(recorded.recalibration)
            learnt = registry.recalibration(manifest.endpoint, manifest.version, day)
            if learnt is None:
                raise manifest.unavailable(f"the map of {day} is gone")
        except EvergreenError as error:
            return ended(None, _step("stopped", str(error)))
        steps.append(_recalibrated(recorded, learnt, float(scores[place])))
        scores = learnt.of(scores)
    answers = manifest.problem.answers(scores)
    return ended(*_compared(recorded, answers[place], gap=_gap(captures)))


def _step(step: str, text: str, /, **figures: Any) -> Step:
    return Step(step=step, text=text, figures=figures)


def _captured(recorded: Capture, captures: list[Capture]) -> Step:
    others = len(captures) - 1
    text = f"asked of {recorded.endpoint} at {recorded.time:%Y-%m-%d %H:%M:%S} UTC"
    if others:
        text += f", with {others:,} more row{'s' * (others > 1)} in the same request"
    if gap := _gap(captures):
        text += f"; {gap:,} row{'s' * (gap > 1)} of the request were not recorded"
    return _step("capture", text, time=recorded.time, rows=len(captures), key=recorded.key)


def _gap(captures: list[Capture]) -> int:
    """Return how many rows before the last of the request are missing."""
    return int(captures[-1].id.rpartition("-")[2]) + 1 - len(captures)


def _answered(recorded: Capture) -> Step:
    why = {
        "champion": "as the champion",
        "canary": "as the challenger, in canary",
        "ab": "as an arm of an experiment",
        "requested": "as the caller named it",
        "fallback": f"in place of {recorded.failed or 'another'}, which failed",
    }.get(recorded.variant, recorded.variant)
    if recorded.failed == recorded.version:
        why += ", by its rule, as its service was away"
    figures = {"variant": recorded.variant, "failed": recorded.failed, "ms": recorded.ms}
    return _step("answered by", f"{recorded.version} answered {why}", **figures)


def _versioned(registry: Registry, manifest: Manifest) -> Step:
    lineage = manifest.lineage
    text = (
        f"{manifest.version} is {manifest.candidate}, trained on {lineage.fitted_rows:,} rows "
        f"until {lineage.fitted_until:%Y-%m-%d}, run {lineage.run}"
    )
    own = registry.manifest_sha256(manifest.endpoint, manifest.version)
    of = {"data_sha256": lineage.data_sha256, "code_sha256": lineage.code_sha256}
    return _step("version", text, manifest_sha256=own, **of, kind=manifest.kind)


def _verified(manifest: Manifest, name: str) -> Step:
    artifact = manifest.artifacts[name]
    text = (
        f"{name} has {artifact.bytes:,} bytes and SHA-256 {artifact.sha256[:12]}…, as its "
        f"manifest says; it scores {len(manifest.golden)} golden rows as in training"
    )
    return _step("artifact", text, name=name, bytes=artifact.bytes, sha256=artifact.sha256)


def _libraries(manifest: Manifest, now: Mapping[str, str]) -> Step:
    other = [
        f"{name} {then} then, {now.get(name, 'absent')} now"
        for name, then in manifest.libraries.items()
        if now.get(name) != then
    ]
    text = "; ".join(other) or "the same as in training"
    return _step("libraries", text, then=manifest.libraries, now=dict(now))


def _features(recorded: Capture, hidden: Collection[str]) -> Step:
    shown = recorded.features | {name: "sensitive" for name in hidden if name in recorded.features}
    text = ", ".join(f"{name}={value}" for name, value in shown.items())
    return Step(step="features", text=text, figures=shown)


def _recalibrated(recorded: Capture, learnt: Recalibration, raw: float) -> Step:
    intercept, slope = learnt.line
    text = (
        f"the model gave {raw!r}, and {recorded.raw!r} then; the map of {learnt.day}, learnt from "
        f"{learnt.rows:,} outcomes, adds {intercept:+.3f} to {slope:.3f} times its logit"
    )
    return _step("recalibration", text, raw=raw, then=recorded.raw, day=learnt.day)


def _compared(recorded: Capture, answer: Mapping[str, Any], gap: int) -> tuple[bool, Step, Step]:
    then = {name: getattr(recorded, name, None) for name in answer}
    identical = msgspec.json.encode(then) == msgspec.json.encode(answer)
    text = f"score {answer['score']!r}, label {answer['label']!r}"
    if identical:
        verdict = "identical, to the last bit"
    else:
        apart = abs(recorded.score - answer["score"])
        verdict = f"not identical: off by {apart if math.isfinite(apart) else math.inf:.3g}"
        if gap:
            verdict += ", and rows of the request are missing"
    recorded_as = f"score {recorded.score!r}, label {recorded.label!r}"
    replayed = _step("replayed", f"{text}: {verdict}", **answer, identical=identical)
    return identical, _step("recorded", recorded_as, **then), replayed
