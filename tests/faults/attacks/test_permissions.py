"""What the functions of a stack do in three weeks, against what their roles allow them."""

import json
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
import time_machine

import bootstrap
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from local.cloud.permissions import Grant
from local.plane.plane import Plane
from local.template import ROOT
from tests.support import candidates, given, rollouts, traffic
from tests.support.candidates import document
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of
from tests.support.rollouts import BAD, DAY, GOOD
from tests.support.traffic import compact

JSON = {"Content-Type": "application/json"}
CONTROL = f"/control/endpoints/{NAME}"
RETRAIN = json.loads((ROOT / "events" / "retrain-requested.json").read_text())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let flight-delay be trained and compared in little time, also on rows that are much alike."""
    policy: dict[str, Any] = {"shadow_days": 3, "canary_rows": 10, "canary_days": 1.0}
    endpoint = given.quick(label_days=1, max_duplicates=1.0, capture_batch=True, **policy)
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)


@dataclass
class Story:
    """A stack, and what is done with it; days are those after NOW."""

    plane: Plane
    artifacts: Store
    data: Store
    clock: time_machine.Traveller

    def at(self, day: float, function: str = "") -> None:
        """Let it be a day, and let a schedule of a function fire."""
        self.clock.move_to(NOW + day * DAY)
        bootstrap._seal.cache_clear()  # in a process of its own it has verified nothing yet
        compact(self.plane)
        if function:
            self.plane.deliver(function, {"slot": f"{NOW + day * DAY:%Y-%m-%dT%H:%M:%SZ}"})
        self.plane.settle()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.plane.request("POST", path, json.dumps(body).encode(), JSON)
        assert answer.status in (200, 202), (path, answer.body)
        return answer.json()

    def see(self, *paths: str) -> None:
        for path in paths:
            answer = self.plane.request("GET", path)
            assert answer.status == 200, (path, answer.body)

    def decided(self) -> list[str]:
        registry = registry_of(self.artifacts)
        return [decision.type for decision in registry.history(document(registry))]

    def unused(self) -> set[tuple[str, str, str]]:
        """Return the grants that no call has needed: whose, the action and the resource."""
        return {
            (name, grant.action, grant.resource.rpartition(":")[2])
            for name, role in self.plane.roles.items()
            for grant in set(role.grants) - role.used
        }


@pytest.fixture
def story(
    plane: Plane, artifacts: Store, data: Store, clock: time_machine.Traveller, quick: None
) -> Story:
    """Return a stack with a bad champion, a good candidate, and two weeks of requests."""
    good, bad = rollouts.trained_on(lie=False), rollouts.trained_on(lie=True)
    registry = registry_of(artifacts)
    candidates.written(registry, bad, BAD)
    candidates.written(registry, good, GOOD, previous=BAD)
    candidates.move(registry, "promoted", BAD)
    candidates.move(registry, "candidate entered", GOOD)
    rollouts.days(data, range(1, 14), version=BAD)
    rollouts.days(data, range(5, 14), version=GOOD, variant="canary", first=5_000)
    return Story(plane, artifacts, data, clock)


def serve(story: Story) -> None:
    """Ask, tell what happened, and look at everything that callers may see."""
    story.post(
        f"/endpoints/{NAME}/feedback", labels=[{"id": given.prediction_id(0), "label": True}]
    )
    unknown = story.plane.request("POST", "/endpoints/no-such/feedback", b'{"labels": []}', JSON)
    assert unknown.status == 404
    asked = story.post(f"/endpoints/{NAME}/predict", instances=[given.row()])
    one = f"/endpoints/{NAME}/versions/{GOOD}"
    story.see(
        "/endpoints", f"/endpoints/{NAME}", f"/endpoints/{NAME}/versions", one, f"{one}/report"
    )
    story.see(f"{CONTROL}/predictions/{asked['predictions'][0]['id']}", f"{CONTROL}/predictions")


def roll_out(story: Story) -> None:
    """Let the candidate go its way, while a person looks at it before the rollout does."""
    story.at(1, "RolloutFunction")
    story.at(6)
    story.see(f"{CONTROL}/status", f"{CONTROL}/experiments")
    for day in range(8, 14):
        story.at(day + 0.5, "RolloutFunction")


def check(story: Story) -> None:
    """Let the requests change, a file of Firehose be damaged, and a version be unknown."""
    traffic.requests(story.data, range(14, 20), rows=100, version=GOOD, carrier="ZZ")
    traffic.outcomes(story.data, range(14, 18), 100, lambda n: n % 2 == 0)
    story.data.put(f"captures/{NOW + 15 * DAY:%Y/%m/%d/%H}/damaged.jsonl.gz", b"no gzip")
    at = NOW + 16 * DAY
    odd = msgspec.structs.replace(given.capture(9, at), version=given.version(28))
    given.deliver(story.data, [odd], at, "of-a-version-that-there-is-not")
    two = [given.capture(8, at, variant="champion"), given.capture(8, at, key="another")]
    found = [msgspec.structs.replace(each, version=GOOD) for each in two]
    given.deliver(story.data, found, at, "that-contradict-each-other")
    story.at(19.5, "CheckFunction")
    story.at(20.5, "CheckFunction")
    story.at(20.6, "RolloutFunction")
    story.post(f"/endpoints/{NAME}/predict", instances=[given.row()])  # as outcomes have taught


def train(story: Story) -> None:
    """Train on an upload and what came since; on an event that comes twice; ask for what is due."""
    traffic.requests(story.data, range(20, 21), rows=100, version=GOOD)
    traffic.outcomes(story.data, range(20, 21), 100, lambda n: n % 2 == 0)
    given.upload(story.data)
    story.at(20.7)
    story.at(21, "TrainFunction")
    detail = RETRAIN["detail"] | {"time": f"{NOW + 20.9 * DAY:%Y-%m-%dT%H:%M:%SZ}"}
    for _ in range(2):
        story.plane.deliver("TrainFunction", RETRAIN | {"detail": detail})


def decide(story: Story) -> None:
    """Let a person look, decide, go back to the champion before, and ask why."""
    story.see(f"{CONTROL}/status?run=2013")
    for action in ("pause", "resume", "rollback"):
        generation = document(registry_of(story.artifacts)).generation
        story.post(f"{CONTROL}/{action}", generation=generation, reason="because")
    story.post(f"{CONTROL}/retrain")
    story.plane.settle()
    story.see(f"{CONTROL}/decisions", f"{CONTROL}/explain")


def score(story: Story) -> None:
    """Score a file, record its predictions, and ask how far it is; one has no champion yet."""
    for name in (NAME, "air-time"):
        story.data.put(f"batch/in/{name}/a.csv", given.csv(given.table(20)))
    story.plane.settle()
    (folder,) = story.data.names(f"batch/out/{NAME}/")
    story.see(f"{CONTROL}/status?evidence=no&batch={folder.rstrip('/')}")


def fail(story: Story) -> None:
    """Let events that nobody understands end in the dead-letter queue."""
    for function in ("CheckFunction", "TrainFunction", "RolloutFunction"):
        story.plane.deliver(function, {"slot": "no time"})
    story.plane.deliver("CompactFunction", {"hour": "no time"})


def test_three_weeks_at_the_fourth_level_use_every_grant_of_every_function_and_need_no_other(
    story: Story,
) -> None:
    for part in (serve, roll_out, check, train, decide, score, fail):
        part(story)

    said = story.decided()
    assert {"shadow started", "canary started", "canary widened", "promoted", "rolled back"} < {
        *said
    }
    assert story.unused() == set()


def test_a_grant_that_nothing_needs_is_found(story: Story) -> None:
    role = story.plane.roles["FeedbackFunction"]
    more = Grant("Allow", "s3:GetObject", "arn:aws:s3:::evergreen-databucket/training/*")
    story.plane.roles["FeedbackFunction"] = replace(role, grants=(*role.grants, more))

    serve(story)

    mine = {grant for grant in story.unused() if grant[0] == "FeedbackFunction"}
    assert ("FeedbackFunction", "s3:GetObject", "evergreen-databucket/training/*") in mine
