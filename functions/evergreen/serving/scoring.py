"""Score the rows of a request: with the version that it is for, or with the next that can."""

from collections.abc import Callable, Sequence
from datetime import date
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from evergreen.aws.telemetry import logger, measure
from evergreen.contract import errors
from evergreen.contract.decoding import PredictRequest
from evergreen.contract.errors import ModelUnavailableError, worded
from evergreen.contract.problem import Floats
from evergreen.registry.recalibration import Recalibration
from evergreen.serving.model_cache import Chosen, Serving


class Scored(msgspec.Struct, frozen=True):
    """Rows and their scores, by a version, in so many milliseconds.

    raw: the scores as the model gives them, before the map of a day was applied; None without one.
    """

    chosen: Chosen
    asked: PredictRequest
    scores: Floats
    ms: float
    raw: Floats | None = None
    day: date | None = None

    def predictions(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return what a caller gets of each row, with its id."""
        model, rows = self.chosen.served.model, self.asked.instances
        answers = model.manifest.problem.answers(self.scores)
        return [
            {"id": prediction, **found} | ({"unseen": unseen} if unseen else {})
            for prediction, found, unseen in zip(ids, answers, model.unseen(rows), strict=True)
        ]

    @property
    def recorded(self) -> list[dict[str, Any]]:
        """Return what is recorded of each row beside its prediction."""
        if self.raw is None:
            return [{}] * len(self.scores)
        return [{"raw": score, "recalibration": f"{self.day}"} for score in self.raw.tolist()]


def check_served(serving: Serving, endpoint: str, version: str) -> None:
    """Raise UnknownVersionError unless a version is live, or compared with what is."""
    document = serving.document(endpoint)
    status = document.statuses.get(version)
    if status in ("retired", "rejected"):
        raise errors.UnknownVersionError(endpoint, version, status)
    if status is None and version != document.fallback:
        raise errors.UnknownVersionError(endpoint, version)


def by_version(
    serving: Serving, endpoint: str, version: str, read: Callable[[], bytes], day: date
) -> Scored:
    """Score rows by the version that a caller names, and by no other, as on a day."""
    only = Chosen(serving.version(endpoint, version), "requested")
    rows = only.served.decoder.decode(read())
    return scored(endpoint, only, rows, serving.recalibrations.of(endpoint, version, day))


def by_choice(
    serving: Serving, endpoint: str, key: str, read: Callable[[], bytes], day: date
) -> Scored:
    """Score rows by the version that they are for, or by the next that can.

    A request is what the champion's schema says; it never fails because of a challenger.
    key: decides between versions where the body has none. read: returns the body. day: whose map
    of scores is served.
    """
    champion = serving.champion(endpoint)
    body = read()
    asked = champion.served.decoder.decode(body)
    chosen = serving.choose(endpoint, asked.key or key)
    first: Exception | None = None
    while True:
        own, its = chosen.served.decoder, champion.served.decoder
        try:
            rows = asked if own is its or own == its else own.decode(body)
            learnt = serving.recalibrations.of(endpoint, chosen.version, day)
            found = scored(endpoint, chosen, rows, learnt)
            break
        except Exception as error:
            first = first or error
            instead = serving.instead(endpoint, chosen, worded(error))
            if instead is None:
                raise first from None
            chosen = instead
    _warn(serving, endpoint, found.chosen)
    return found


def _warn(serving: Serving, endpoint: str, chosen: Chosen) -> None:
    about = {"endpoint": endpoint, "version": chosen.version, "failed": chosen.failed}
    if reason := serving.stale(endpoint):
        measure(endpoint, RefreshFailed=1)
        logger.warning("the champion is not loaded", extra=about | {"reason": reason})
    if chosen.variant != "fallback":
        return
    document = serving.document(endpoint)
    if chosen.failed in document.arms:
        measure(endpoint, ArmFailed=1)
        logger.warning("the champion answers for an arm", extra=about | {"reason": chosen.reason})
    if chosen.version == document.fallback != document.champion:
        measure(endpoint, FallbackAnswered=1)
        logger.error("the rule answers", extra=about | {"reason": chosen.reason})


def scored(
    endpoint: str, chosen: Chosen, asked: PredictRequest, learnt: Recalibration | None = None
) -> Scored:
    """Score rows; while a service that a version asks fails, its rule does.

    learnt: what the scores of the version mean by now; of its rule nothing is known.
    """
    model, version = chosen.served.model, chosen.version
    service, called = model.manifest.external, True
    start = perf_counter()
    try:
        try:
            scores = model.scores_of(asked.instances)
        except errors.ExternalError as error:
            called, learnt = error.asked, None
            scores = model.scores_instead(asked.instances)
            chosen = replace(chosen, failed=chosen.failed or version, reason=worded(error))
            measure(endpoint, ExternalFailed=1)
            logger.warning("a service fails", extra={"version": version, "reason": chosen.reason})
    except Exception as error:  # ONNX Runtime has no base class of its own
        reason = f"scoring failed: {worded(error)}"
        raise ModelUnavailableError(endpoint, version, reason) from error
    ms = round((perf_counter() - start) * 1000, 3)
    if service and called:
        measure(endpoint, {"currency": service.currency}, ExternalCost=service.cost_per_call)
    if not np.isfinite(scores).all():
        odd = np.unique(np.nonzero(~np.isfinite(scores))[0])[:5].tolist()
        reason = f"it has no finite score for instances {odd}"
        raise ModelUnavailableError(endpoint, version, reason)
    if learnt is None:
        return Scored(chosen, asked, scores, ms)
    return Scored(chosen, asked, learnt.of(scores), ms, scores, learnt.day)
