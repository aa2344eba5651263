"""Many promotions of the same moment: one wins, none is lost, and every answer is true."""

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from evergreen.contract.errors import DocumentChangedError
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.state import Decision
from evergreen.registry.transitions import Change
from tests.support import given
from tests.support.given import NAME, NOW

THREADS, ROUNDS = 8, 40
WON, LOST, UNKNOWN = "won", "lost", "unknown"


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Let threads take turns ten thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@dataclass
class Noise:
    """Loses answers to writes of documents, before or after they take effect, by a seed."""

    share: float
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    lost: int = 0

    def __call__(self, event_name: str, request: Any, send: Any) -> Any:
        noisy = event_name.endswith("PutObject") and f"endpoints/{NAME}" in request.url
        if not noisy or self.dice.random() >= self.share:
            return send()
        self.lost += 1
        kind = self.dice.choice(["silent", "500", "409", "412", "closed", "refused"])
        if kind in ("silent", "500", "409", "412", "closed"):
            send()
        if kind in ("silent", "closed", "refused"):
            raise ConnectionClosedError(endpoint_url="s3")
        code = {"500": "InternalError", "409": "ConditionalRequestConflict"}
        text = f"<Error><Code>{code.get(kind, 'PreconditionFailed')}</Code></Error>"
        return AWSResponse(request.url, int(kind), HTTPHeaders(), MockRawResponse(text))


@pytest.fixture
def noise() -> Iterator[Noise]:
    found, original = Noise(share=0.0), BotocoreStubber.__call__

    def call(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        return found(event_name, request, lambda: original(self, event_name, request, **more))

    with patch.object(BotocoreStubber, "__call__", call):
        yield found


def promote(registry: Registry, seen: Seen, version: str, announced: list[Decision]) -> str:
    change = Change(type="promoted", version=version, by=version, reason="a race")
    try:
        registry.change(seen, change, NOW, announced.append)
    except DocumentChangedError:
        return LOST
    except (ClientError, BotoCoreError):
        return UNKNOWN  # a caller is told to look again
    return WON


def seen(registry: Registry) -> Seen:
    found = registry.document(NAME)
    assert found
    return found


def history(registry: Registry) -> list[Decision]:
    """Return all decisions, after the last one has been settled; there must be no gap."""
    document = seen(registry).document
    registry.settle(document, lambda _: None)
    found = [registry.decision(NAME, one) for one in range(1, document.generation + 1)]
    assert all(found), "a generation has no decision"
    return [decision for decision in found if decision]


@pytest.mark.parametrize("share", [0.0, 0.3], ids=["undisturbed", "answers lost"])
def test_of_eight_promotions_at_the_same_moment_one_wins_and_every_answer_is_true(
    registry: Registry, noise: Noise, share: float
) -> None:
    registry.write_document(given.document("first"), None)
    noise.share = share
    announced: list[Decision] = []
    answers: dict[str, str] = {}
    start = threading.Barrier(THREADS)

    def race(version: str, from_here: Seen) -> str:
        start.wait(timeout=60)
        return promote(registry, from_here, version, announced)

    with ThreadPoolExecutor(THREADS) as pool:
        for turn in range(ROUNDS):
            now = seen(registry)
            names = [f"{turn}-{n}" for n in range(THREADS)]
            found = list(pool.map(race, names, [now] * THREADS))
            answers |= dict(zip(names, found, strict=True))
            if share == 0.0:
                assert sorted(found) == [LOST] * (THREADS - 1) + [WON]
            winners = seen(registry).document.generation - now.document.generation
            assert winners <= 1, "two have moved the same document"

    noise.share = 0.0
    done = history(registry)
    happened = {decision.version for decision in done}
    assert [decision.generation for decision in done] == list(range(1, len(done) + 1))
    for version, answer in answers.items():
        assert answer == UNKNOWN or (answer == WON) == (version in happened), (version, answer)
    assert {line.version for line in announced} >= {one for one, a in answers.items() if a == WON}
    assert len(done) == ROUNDS + 1 if share == 0.0 else len(done) > ROUNDS / 2
    assert (noise.lost > 0) == (share > 0.0)


@pytest.mark.parametrize("share", [0.0, 0.2], ids=["undisturbed", "answers lost"])
def test_eight_who_ask_until_they_are_heard_are_all_promoted_once(
    registry: Registry, noise: Noise, share: float
) -> None:
    registry.write_document(given.document("first"), None)
    noise.share = share

    def insist(version: str) -> None:
        for _ in range(500):
            if promote(registry, seen(registry), version, []) == LOST:
                assert version not in seen(registry).document.statuses, "it was not lost"
            elif version in seen(registry).document.statuses:
                return
        raise AssertionError(f"{version} was never heard")

    names = [f"{turn}-{n}" for turn in range(3) for n in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(insist, names))

    noise.share = 0.0
    assert sorted(line.version for line in history(registry)) == sorted(["first", *names])
