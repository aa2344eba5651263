"""`make load` finds what leaks, and ends as a failure where anything does not hold."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from benchmarks.load import report
from benchmarks.load.checks import Decision, Growth, growth
from benchmarks.load.client import BARE, PREDICT, Answer, Ask, Phase
from benchmarks.load.report import UNJUDGED, Loaded, Played, goals, part

APPROVED = Decision("approve", "v2", 10.0, 11.0)
SECONDS = 101

Floats = npt.NDArray[np.float64]


def played(rate: float | None = 100.0, requests: int = 10_000, **more: Any) -> Played:
    """Return a phase of 10,000 requests in 100 s, each answered within 4 ms."""
    given: dict[str, Any] = {"memory": growing(0.0), "shown": 0.5} | more
    shown, decision = given.pop("shown"), given.get("decision")
    found: Any = {"version": "v2" if decision and shown is not None else "v1", "predictions": []}
    ask, at = Ask("predict", PREDICT, rows=range(1)), 11.0 + (shown or 0.0)
    answers = [Answer(ask, at - 0.004, at - 0.004, at, found)] * requests
    return Played("target", Phase("soak", requests, 8, BARE, rate), answers, 100.0, **given)


def memory(sizes: Iterable[float]) -> pd.DataFrame:
    """Return the samples of a process, one a second, beside one whose size never changes."""
    return pd.DataFrame({"FunctionOne": 9.0, "OneFunction": list(map(float, sizes))})


def growing(kilobytes: float) -> pd.DataFrame:
    """Return the samples of a process that grows by so much at each of 100 requests a second."""
    return memory(at * 100 * kilobytes / 1024 for at in range(SECONDS))


def about(by: float, samples: int) -> Any:
    """Return a growth without an error, but for that of the arithmetic."""
    near: Any = pytest.approx
    return Growth(near(by, abs=1e-6), near(0, abs=1e-6), samples)


def noise(seed: int, alike: float, seconds: int = SECONDS) -> Floats:
    """Return noise of 2 MB, of which each second is like the one before."""
    random = np.random.default_rng(seed)
    found = random.normal(0, 2, seconds)
    for at in range(1, seconds):
        found[at] = alike * found[at - 1] + (1 - alike**2) ** 0.5 * found[at]
    return found


def test_the_growth_is_that_of_the_second_half_and_of_one_process() -> None:
    still, grown = (
        memory(sizes) for sizes in ([0, 50, 80, 90, *[100] * 4], [*[0] * 4, 3, 6, 9, 12])
    )

    assert growth(still["OneFunction"]) == about(0, 4)
    assert growth(grown["OneFunction"]) == about(3, 4)


def test_a_few_samples_have_no_growth() -> None:
    assert growth(memory([1, 2, 3, 4, 5])["OneFunction"]) is None
    assert growth(memory([1, 2, 3, 4, 5, 6, 7, *[np.nan] * 3])["OneFunction"]) is None


def test_the_error_of_a_growth_is_how_much_it_differs_from_one_series_to_the_next() -> None:
    for alike in (0.0, 0.8):
        found = [growth(memory(noise(seed, alike))["OneFunction"]) for seed in range(300)]

        spread = np.std([one.by for one in found if one])
        claimed = np.mean([one.error for one in found if one])
        assert claimed == pytest.approx(spread, rel=0.3), alike


@pytest.mark.parametrize(
    ("kilobytes", "rate", "leaks"), [(2.0, 100.0, True), (0.5, 100.0, False), (2.0, None, False)]
)
def test_a_process_that_goes_on_growing_with_each_request_leaks(
    kilobytes: float, rate: float | None, leaks: bool
) -> None:
    found = played(rate, memory=growing(kilobytes))

    assert found.growth_kb("OneFunction") == about(kilobytes, 51)
    assert found.leaks("OneFunction") is leaks
    assert not found.leaks("FunctionOne")


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9])
def test_memory_that_only_goes_up_and_down_is_no_leak(alike: float) -> None:
    for seed in range(50):
        assert not played(memory=memory(noise(seed, alike))).leaks("OneFunction"), seed


def test_a_leak_shows_through_noise() -> None:
    leak = np.arange(SECONDS) * 100 * 4 / 1024

    found = [played(memory=memory(leak + noise(seed, 0.5))) for seed in range(50)]

    assert sum(one.leaks("OneFunction") for one in found) >= 45


def test_a_short_soak_in_which_a_server_still_warms_up_is_not_judged() -> None:
    warming = played(memory=memory([100, 100, 104, 108, 112, 116, 120, 124, 128]))

    assert warming.growth_kb("OneFunction")
    assert warming.judged("OneFunction") is None
    assert not warming.leaks("OneFunction")


def test_growth_within_an_allocators_noise_is_no_leak() -> None:
    assert played(requests=200, memory=growing(0.05)).leaks("OneFunction") is False


# What must hold


def loaded(**more: Any) -> list[Loaded]:
    return [replace(Loaded("target", [played(memory=growing(0.0))], predictions=1), **more)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"faults": {report.RIGHT: ["500 and not 200"]}},
        {"faults": {report.RECORDED: ["prediction a was recorded 0 times"]}},
        {"faults": {report.NAMED: ["v1 answered what was asked at 12.100"]}},
        {"played": [played(decision=APPROVED, shown=None)]},
        {"played": [played(memory=growing(2.0))]},
    ],
    ids=["errors", "unrecorded", "misanswered", "decision", "memory"],
)
def test_each_thing_that_is_wrong_ends_the_load_as_a_failure(wrong: dict[str, Any]) -> None:
    assert all(goal.reached for goal in goals(loaded()))
    (missed,) = (goal for goal in goals(loaded(**wrong)) if not goal.reached)
    assert len(missed.against) == 1


def test_a_load_without_a_soak_that_tells_does_not_judge_the_memory() -> None:
    short = played(memory=growing(2.0)[:20])

    goal = goals(loaded(played=[short]))[-1]

    assert (goal.reached, goal.figure) == (True, UNJUDGED)
    assert goals(loaded())[-1].figure == "0 faults"


def test_memory_may_grow_where_records_are_kept_in_it() -> None:
    growth = growing(2.0)[["OneFunction"]].set_axis(["make serve"], axis=1)
    held = [Loaded("make serve", [played(memory=growth)], bare=bare) for bare in (False, True)]

    assert [goals([one])[-1].reached for one in held] == [True, False]


def test_the_tables_have_a_row_for_each_of_it() -> None:
    decided = played(memory=growing(1.0), decision=APPROVED, shown=0.5)

    found = {title: rows for title, _, _, rows in part(loaded(played=[decided])).tables}

    assert found["Answers"] == [
        ["target, soak", "10,000", "100.0", "0", "4.0", "4.0", "4.0", "4.0"],
        ["… predict", "10,000", "", "0", "4.0", "4.0", "4.0", "4.0"],
    ]
    assert found["Decisions in the middle of it"] == [
        ["target, soak", "approve", "0", "1.00", "0.50"]
    ]
    assert found["What was recorded"] == [["target", "1", "0", "0", "0.0", "0"]]
    assert found["Memory, MB"][1] == ["", "OneFunction", "0", "5", "10", "1.00 ± 0.00"]


def test_times_are_percentiles_of_each_kind_and_of_all() -> None:
    found = [Answer(Ask("predict", PREDICT), 0.0, 0.0, at / 1000) for at in range(1, 101)]
    found.append(Answer(Ask("page", PREDICT), 0.0, 0.0, 1.0, None, "500 and not 200"))
    phase = Played("target", Phase("soak", 101, 8, BARE), found, 101.0, growing(0.0))

    assert report.answers(phase) == [
        ["target, soak", "101", "1.0", "1", "51.0", "96.0", "100", "1,000"],
        ["… page", "1", "", "1", "1,000", "1,000", "1,000", "1,000"],
        ["… predict", "100", "", "0", "50.5", "95.0", "99.0", "100"],
    ]
