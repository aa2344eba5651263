"""What a challenger waits for is said as it will be decided."""

import msgspec
import pytest

from evergreen.contract.endpoint import Policy
from evergreen.registry.state import Challenger
from evergreen.rollout.evidence import Evidence, PairedDay
from evergreen.rollout.status import waits
from tests.support import given
from tests.support.given import NOW, version
from tests.support.rollouts import DAY

SHADOW = Challenger(version=version(2), stage="shadow", started=NOW, since=NOW)
GAINS = [
    PairedDay(day=(NOW + n * DAY).date(), rows=100, gain=0.01 + 0.004 * (n % 3 - 1))
    for n in range(6)
]


@pytest.mark.parametrize(
    ("policy", "evidence", "expected"),
    [
        ({}, {"paired": GAINS}, "where -0.0100 is needed, on 6 labelled days of at least 10"),
        ({"promotion": "superior"}, {"paired": GAINS}, "where +0.0000 is needed"),
        (
            {"promotion": "expected regret"},
            {"paired": GAINS},
            "where an expected loss that is small is needed",
        ),
        ({}, {}, "0 labelled days of at least 10; inconclusive after 21 days"),
        ({}, {"refreshed": True}, "goes to canary at the next tick of level 4: it is the champion"),
        ({}, {"refreshed": True, "paired": GAINS}, "gain +0.0100 on 6 labelled days; it is the"),
    ],
)
def test_the_sentence_says_what_would_be_enough(
    policy: dict[str, object], evidence: dict[str, object], expected: str
) -> None:
    document = msgspec.structs.replace(given.document(), challenger=SHADOW)
    seen = Evidence(at=NOW + 7 * DAY, **evidence)  # type: ignore[arg-type]

    said = waits(document, seen, Policy(**policy), 4, None)  # type: ignore[arg-type]

    assert expected in said[0]
