"""The clients of `make load` keep what they are told, and call wrong what is."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.load import client
from benchmarks.load.client import (
    BARE,
    HARD,
    MIXED,
    PATH,
    Answer,
    Ask,
    Asks,
    Phase,
    answer,
    asked_for,
    play,
)
from tests.support.servers import Answered as Reply
from tests.support.servers import Asked, listening

ROWS: list[dict[str, Any]] = [{"distance": float(at)} for at in range(200)]
PREDICTION = b'{"version": "v1", "variant": "champion", "predictions": [{"id": "a"}]}'


@pytest.mark.parametrize("kinds", [MIXED, HARD, BARE])
def test_requests_come_in_the_order_of_a_seed_and_of_every_kind(kinds: dict[str, int]) -> None:
    one, other = Asks(ROWS, kinds), Asks(ROWS, kinds)

    asked = [one.next() for _ in range(500)]

    assert {ask.kind for ask in asked} == set(kinds)
    assert [ask.kind for ask in asked] == [other.next().kind for _ in range(500)]


def test_an_outcome_is_reported_once_and_a_flood_is_of_nobodys_predictions() -> None:
    asks = Asks(ROWS, MIXED)
    asks.answered.extend(["a", "b", "c"])

    labels = [asks.outcomes(kind, count).labels for kind, count in FLOOD_BETWEEN]

    assert [set(one) & {"a", "b", "c"} for one in labels] == [{"a", "b"}, set(), {"c"}, set()]
    assert [len(one) for one in labels] == [2, 1_000, 2, 1]


FLOOD_BETWEEN = [("feedback", 2), ("flood", 1_000), ("feedback", 2), ("feedback", 1)]


def connect(address: str) -> Any:
    return client.connect(int(address.rpartition(":")[2]))


def ask_of(reply: Callable[[Asked], Reply | None], ask: Ask) -> Answer:
    """Return what a client sees of one request."""
    with listening(reply) as address, connect(address) as http:
        return answer(http, ask)


def test_a_right_answer_is_kept_for_what_must_be_recorded() -> None:
    predicted = ask_of(lambda _: Reply(PREDICTION), asked_for("predict", PATH, ROWS, range(1)))
    labelled = ask_of(lambda _: Reply(b'{"accepted": 1}', 202), OUTCOME)

    assert [one.fault for one in (predicted, labelled)] == [None, None]
    assert (predicted.found["version"], predicted.found["predictions"]) == ("v1", [{"id": "a"}])


OUTCOME = Ask("feedback", PATH, 202, "{}", labels={"a": True})


@pytest.mark.parametrize(
    ("reply", "rows"),
    [
        (None, 1),
        (Reply(PREDICTION, 503), 1),
        (Reply(PREDICTION), 2),
        (Reply(b"<html>"), 1),
        (Reply(b"{}"), 1),
    ],
    ids=["no answer", "another status", "too few rows", "not JSON", "nothing in it"],
)
def test_an_answer_that_is_not_what_it_should_be_is_an_error(
    reply: Reply | None, rows: int
) -> None:
    assert ask_of(lambda _: reply, asked_for("predict", PATH, ROWS, range(rows))).fault


def test_labels_that_were_not_all_accepted_are_an_error() -> None:
    assert ask_of(lambda _: Reply(b'{"accepted": 0}', 202), OUTCOME).fault


def phase(requests: int, clients: int, rate: float | None = None) -> Phase:
    return Phase("soak", requests, clients, {"page": 1}, rate)


@pytest.mark.parametrize("rate", [None, 1_000.0])
def test_every_request_of_a_phase_is_sent_and_the_middle_is_told_once(rate: float | None) -> None:
    middle: list[int] = []

    with listening(lambda _: Reply(b"{}")) as address, connect(address) as http:
        found = play(http, phase(40, 4, rate), Asks(ROWS, {"page": 1}), lambda: middle.append(1))

    assert [one.fault for one in found] == [None] * 40
    assert middle == [1]


def test_at_a_rate_a_request_counts_from_when_it_was_due_and_not_from_when_it_was_sent() -> None:
    with listening(lambda _: Reply(b"{}")) as address, connect(address) as http:
        found = play(http, phase(4, 1, 100_000.0), Asks(ROWS, {"page": 1}), lambda: None)

    waited = [one.due - found[0].due for one in found]  # one client is not that fast
    assert waited == pytest.approx([0.0, 1e-5, 2e-5, 3e-5], abs=1e-7)


def test_a_decision_that_is_refused_ends_the_load() -> None:
    def refused() -> None:
        raise SystemExit("409")

    with (
        listening(lambda _: Reply(b"{}")) as address,
        connect(address) as http,
        pytest.raises(SystemExit, match="409"),
    ):
        play(http, phase(4, 2), Asks(ROWS, {"page": 1}), refused)
