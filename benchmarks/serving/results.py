"""Medians of runs, their ratios, and what these were to reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.serving.contenders import EMPTY, NOPYC, PATTERN, ours
from benchmarks.serving.measure import Run

OFF, ON = ours("onnx", "off"), ours("onnx", "on")


@dataclass(frozen=True)
class Times:
    """Figures of one contender in ms, seen from one side; None where it was not asked warm."""

    cold: float
    one_p50: float | None = None
    one_p99: float | None = None
    hundred_p50: float | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True)
class Result:
    """All figures of one contender.

    caller: until the emulator's answer was there. handler: until the handler returned; from the
    sending of the request for a cold start, else from the handler's entry. cold_cpu_ms: processor
    time of the function's process until the first answer, which other processes hardly change.
    """

    caller: Times
    handler: Times
    cold_cpu_ms: float
    peak_mb: float


@dataclass(frozen=True)
class Goal:
    """A ratio of a figure of two contenders, and what it is to be at most or at least."""

    text: str
    figure: str
    of: str
    base: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def seen(self) -> str:
        """Return who sees the figure, the emulator's caller or the handler."""
        return self.figure.partition(".")[0] if "." in self.figure else ""

    def ratio(self, results: Mapping[str, Result]) -> float:
        """Return the ratio."""
        figure = attrgetter(self.figure)
        return float(figure(results[self.of]) / figure(results[self.base]))

    def reached(self, results: Mapping[str, Result]) -> bool:
        """Say whether the ratio is within its limit."""
        ratio = self.ratio(results)
        return (self.at_most is None or ratio <= self.at_most) and (
            self.at_least is None or ratio >= self.at_least
        )


GOALS = (
    Goal("cold start", "caller.cold", OFF, PATTERN, at_most=0.22),
    Goal("cold start", "caller.cold", OFF, EMPTY, at_most=6.0),
    Goal("cold start", "caller.cold", OFF, NOPYC, at_most=0.13),
    Goal("cold start", "handler.cold", ON, PATTERN, at_most=0.22),
    Goal("cold start", "handler.cold", ON, NOPYC, at_most=0.13),
    Goal("one row", "caller.one_p50", OFF, EMPTY, at_most=2.0),
    Goal("one row", "handler.one_p50", ON, PATTERN, at_most=0.5),
    Goal("one row", "caller.one_p50", ON, PATTERN, at_most=0.5),
    Goal("rows per second", "handler.rows_per_second", OFF, PATTERN, at_least=2.5),
    Goal("rows per second", "caller.rows_per_second", OFF, PATTERN, at_least=2.5),
    Goal("rows per second", "handler.rows_per_second", ON, PATTERN, at_least=1.2),
    Goal("rows per second", "caller.rows_per_second", ON, PATTERN, at_least=1.2),
    Goal("peak memory", "peak_mb", ON, PATTERN, at_most=0.6),
)


def results(runs: Sequence[Run]) -> dict[str, Result]:
    """Return the figures of each contender, in the order in which they ran."""
    names = list(dict.fromkeys(run.contender for run in runs))
    return {name: _result([run for run in runs if run.contender == name]) for name in names}


def _result(runs: Sequence[Run]) -> Result:
    warm = [run for run in runs if run.warm]
    return Result(
        caller=_times(runs, "caller"),
        handler=_times(runs, "handler"),
        cold_cpu_ms=1000 * median(run.cold_cpu for run in runs),
        # who stops after one row needs less memory than who goes on to 1,000
        peak_mb=median(run.peak_mb for run in warm or runs),
    )


def _times(runs: Sequence[Run], side: str) -> Times:
    seconds = attrgetter(side)
    cold = 1000 * median(seconds(run.cold) for run in runs)
    warm = {
        count: [seconds(sample) for run in runs if run.warm for sample in run.warm[count]]
        for count in (1, 100, 1_000)
    }
    if not warm[1]:
        return Times(cold)
    return Times(
        cold,
        one_p50=1000 * median(warm[1]),
        one_p99=1000 * quantiles(warm[1], n=100)[98],
        hundred_p50=1000 * median(warm[100]),
        rows_per_second=1000 / median(warm[1_000]),
    )


def goals(results: Mapping[str, Result]) -> list[Goal]:
    """Return the goals of all who were measured."""
    return [goal for goal in GOALS if goal.of in results and goal.base in results]
