"""Runs of contenders in turns, one process after the other."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from benchmarks.installed import BUILD
from benchmarks.serving import emulator
from benchmarks.serving.contenders import EMPTY, Contender
from local.template import ROOT

EVENT = ROOT / "events" / "predict.json"
SAME = 1e-5  # what the twin may differ from its pipeline


@dataclass(frozen=True)
class Plan:
    """How often: processes per contender, how many of them go on warm, and requests in each.

    requests: by rows in a request.
    """

    processes: int
    warm_processes: int
    requests: dict[int, int]


FULL = Plan(processes=11, warm_processes=5, requests={1: 300, 100: 40, 1_000: 15})
QUICK = Plan(processes=3, warm_processes=1, requests={1: 50, 100: 10, 1_000: 5})


@dataclass(frozen=True)
class Sample:
    """Seconds of one request, as the emulator's caller saw them and until the handler returned."""

    caller: float
    handler: float


@dataclass(frozen=True)
class Run:
    """One process of a contender; a cold sample's `handler` counts from the request's sending."""

    contender: str
    cold: Sample
    cold_cpu: float
    warm: dict[int, list[Sample]]
    peak_mb: float


def runs(contenders: Sequence[Contender], plan: Plan, rows: Sequence[Any]) -> Iterator[Run]:
    """Yield runs in turns, so that a busy minute of the machine slows all of them alike.

    Raises SystemExit where two contenders do not score the same rows alike.
    """
    events = {count: event(rows[:count]) for count in plan.requests}
    scores: dict[int, list[float]] = {}
    with (BUILD / "emulator.log").open("w") as log:
        for turn in range(plan.processes):
            for contender in contenders:
                warm = contender.warm and turn < plan.warm_processes
                requests = plan.requests if warm else {}
                yield _run(contender, requests, events, log, scores)


def event(rows: Sequence[Any]) -> bytes:
    """Return what API Gateway would send for some rows."""
    template = json.loads(EVENT.read_text())
    return json.dumps(template | {"body": json.dumps({"instances": rows})}).encode()


def _run(
    contender: Contender,
    requests: dict[int, int],
    events: dict[int, bytes],
    log: IO[str],
    scores: dict[int, list[float]],
) -> Run:
    times = BUILD / "times.txt"
    with emulator.started(
        contender.handler, contender.path, contender.variables, times, log
    ) as function:
        first = function.ask(events[1])
        cold_cpu = function.cpu_seconds()
        asked = {
            count: [function.ask(events[count]) for _ in range(number)]
            for count, number in requests.items()
        }
        (_, at), *returned = function.returned()
        peak_mb = function.peak_mb()
    own = iter(returned)
    cold = Sample(first.seconds, at - first.sent)
    warm = {
        count: [Sample(one.seconds, seconds) for one, (seconds, _) in zip(found, own, strict=False)]
        for count, found in asked.items()
    }
    for count, found in {1: [first], **asked}.items():
        _check(contender, count, found, scores)
    return Run(contender.name, cold, cold_cpu, warm, peak_mb)


def _check(
    contender: Contender,
    count: int,
    asked: Sequence[emulator.Asked],
    scores: dict[int, list[float]],
) -> None:
    """Compare scores with those of the first who answered: else they are not the same work."""
    if contender.name == EMPTY:
        return
    for one in asked:
        found = [row["score"] for row in json.loads(one.answer["body"])["predictions"]]
        expected = scores.setdefault(count, found)
        pairs = zip(found, expected, strict=True)
        if not all(math.isclose(first, second, abs_tol=SAME) for first, second in pairs):
            raise SystemExit(f"{contender.name} scores {count} rows differently")
