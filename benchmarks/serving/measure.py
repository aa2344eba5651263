"""Runs of contenders in turns, one process after the other."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from benchmarks.serving import emulator
from benchmarks.serving.contenders import EMPTY, NOPYC, Contender
from benchmarks.shown import BUILD
from local.template import ROOT

EVENT = ROOT / "events" / "predict.json"
SAME = 1e-5  # what the twin may differ from its pipeline


class Plan(NamedTuple):
    """How often: processes per contender, how many of them go on warm, and requests in each.

    requests: by rows in a request.
    """

    processes: int
    warm_processes: int
    requests: dict[int, int]


FULL = Plan(processes=11, warm_processes=5, requests={1: 300, 100: 40, 1_000: 15})
QUICK = Plan(processes=3, warm_processes=1, requests={1: 50, 100: 10, 1_000: 5})


class Sample(NamedTuple):
    """Seconds of one request, as the emulator's caller saw them and until the handler returned."""

    caller: float
    handler: float


class Run(NamedTuple):
    """One process of a contender; a cold sample's `handler` counts from the request's sending.

    cold_cpu: seconds of the processor until the first answer. warm: by rows in a request.
    """

    contender: str
    cold: Sample
    cold_cpu: float
    warm: dict[int, list[Sample]]
    peak_mb: float


def runs(contenders: Sequence[Contender], plan: Plan, rows: Sequence[Any]) -> Iterator[Run]:
    """Yield runs in turns, so that a busy minute of the machine slows all of them alike.

    Raises SystemExit where two contenders do not score the same rows alike.
    """
    # as API Gateway would send them
    template, bodies = json.loads(EVENT.read_text()), {}
    for count in plan.requests:
        body = json.dumps({"instances": rows[:count]})
        bodies[count] = json.dumps(template | {"body": body}).encode()
    scores: dict[int, list[float]] = {}
    with (BUILD / "emulator.log").open("w") as log:
        for turn in range(plan.processes):
            for contender in contenders:
                warm = contender.name != NOPYC and turn < plan.warm_processes
                yield _run(contender, plan.requests if warm else {}, bodies, log, scores)


def _run(
    contender: Contender,
    requests: Mapping[int, int],
    bodies: Mapping[int, bytes],
    log: IO[str],
    scores: dict[int, list[float]],
) -> Run:
    with emulator.started(contender, log) as function:
        first = function.ask(bodies[1])
        cold_cpu = function.cpu_seconds()
        asked = {
            count: [function.ask(bodies[count]) for _ in range(number)]
            for count, number in requests.items()
        }
        (_, at), *returned = function.returned()
        peak_mb = function.peak_mb()
    own = iter(returned)
    warm = {
        count: [Sample(one.seconds, seconds) for one, (seconds, _) in zip(found, own, strict=False)]
        for count, found in asked.items()
    }
    for count, one in [(1, first), *((n, one) for n, found in asked.items() for one in found)]:
        _check(contender.name, one.answer, scores.setdefault(count, []))
    return Run(contender.name, Sample(first.seconds, at - first.sent), cold_cpu, warm, peak_mb)


def _check(name: str, answer: Any, expected: list[float]) -> None:
    """Compare scores with those of the first who answered: else they are not the same work."""
    if name == EMPTY:
        return
    found = [row["score"] for row in json.loads(answer["body"])["predictions"]]
    expected[:] = expected or found
    pairs = zip(found, expected, strict=True)
    if not all(math.isclose(one, other, abs_tol=SAME) for one, other in pairs):
        raise SystemExit(f"{name} scores {len(found)} rows differently")
