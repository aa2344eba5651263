"""Put `make serve` and `sam local start-api` under load on 127.0.0.1, and check what came of it.

A soak of everything that clients send, at a steady rate, with a promotion in its middle; a burst of
many clients as fast as they can, with a rollback in its middle; and a soak of a stack that records
nothing, whose memory must stand still. Ends with 1 if anything is lost, mixed up or wrong.
"""

import json
import sys
import time
from contextlib import AbstractContextManager, closing
from typing import IO, Any

from benchmarks import shown
from benchmarks.load import checks, report
from benchmarks.load.checks import Decision, Memory
from benchmarks.load.client import Client, Plan, Seen, answer, play
from benchmarks.load.requests import (
    BARE,
    HARD,
    JSON,
    MIXED,
    PAGES,
    PATH,
    Ask,
    Asks,
    asked_for,
    page,
    pool,
)
from benchmarks.load.results import Loaded, Phase, Played
from benchmarks.load.targets import TTL_SECONDS, Target, sam_local, sampled, served
from benchmarks.shown import Part, conditions
from local.plane import containers

SOAK_SECONDS, QUICK_SOAK_SECONDS = 240, 8
LIMIT_SECONDS = 60 * 60  # nothing here may run for ever
FIRST_SECONDS = 300  # of a first answer, for which sam builds an image
APART = 0.01  # of two versions' scores of a row, so that it shows which of them answered
SERVE, BARE_SERVE, SAM = "make serve", "make serve LEVEL=1", "sam local start-api"
TARGETS = (SERVE, BARE_SERVE, SAM)


def phases(target: str, soak: int, *, quick: bool) -> list[Phase]:
    """Return what a target goes through; soak: seconds."""
    share = 10 if quick else 1
    if target == BARE_SERVE:
        # Each thread of the server first keeps as much memory as its largest request takes.
        return [
            Phase("warm-up", Plan(2_000 // share, 8), BARE),
            Phase("soak", Plan(soak * 50, 8, 100), BARE),
        ]
    rate, clients, burst = (8, 4, 400) if target == SAM else (20, 8, 5_000)
    return [
        Phase("soak", Plan(soak * rate, clients, rate), MIXED, "approve"),
        Phase("burst", Plan(burst // share, 32), HARD, "rollback"),
    ]


def main() -> None:
    """Measure everything, write it down, and end with 1 if something does not hold."""
    parser = report.PAGE.parser("benchmarks.load", __doc__)
    parser.add_argument("--soak", type=int, help="seconds of each soak")
    parser.add_argument("--target", choices=TARGETS, help="only this one, and leave the page alone")
    asked = parser.parse_args()
    soak = asked.soak or (QUICK_SOAK_SECONDS if asked.quick else SOAK_SECONDS)
    targets = [asked.target] if asked.target else TARGETS
    if SAM in targets:
        try:
            containers.check_built()  # before anything is asked of the others
            containers.address()
        except SystemExit as error:
            sys.exit(f"{error}; or leave it out: make load TARGET='{SERVE}'")
    report.BUILD.mkdir(parents=True, exist_ok=True)
    found, spent = shown.limited(LIMIT_SECONDS, lambda: measured(targets, soak, quick=asked.quick))
    said = conditions(spent, "clients and servers on the same machine, ")
    whole = not asked.target and soak >= SOAK_SECONDS
    report.PAGE.write_parts([found], said, whole=whole)
    sys.exit(0 if all(goal.reached for goal in found.goals) else 1)


def measured(targets: Any, soak: int, *, quick: bool) -> Part:
    """Put each target under load, one after the other."""
    loaded = []
    with (report.BUILD / "load.log").open("w") as log:
        for name in targets:
            print(f"{name}: starting", flush=True)
            loaded.append(under_load(name, starter(name, log), phases(name, soak, quick=quick)))
    return report.part(loaded)


def starter(name: str, log: IO[str]) -> AbstractContextManager[Target]:
    """Return what starts a target."""
    if name == SAM:
        return sam_local(log)
    return served(log, "1" if name == BARE_SERVE else "3")


def under_load(name: str, started: AbstractContextManager[Target], todo: list[Phase]) -> Loaded:
    """Put a target through its phases; return what became of it."""
    warm, seen, loaded = Seen(), Seen(), Loaded(name, bare=name == BARE_SERVE)
    with started as target:
        with closing(Client(target.port, FIRST_SECONDS)) as own:
            document, described = status(own), own.json(page(PATH))
            versions = [document["champion"], candidate(document)]
            rows, scores = told_apart(
                own, pool(list(described["schema"]["properties"])), versions, warm
            )
            if not loaded.bare:
                replay(own, warm)
        for phase in todo:
            loaded.played.append(played(target, phase, Asks(rows, phase.kinds), seen))
            print(f"{name}, {phase.name}: {loaded.played[-1].seconds:.0f} s", flush=True)
    recorded = target.recorded
    told = {} if loaded.bare else checks.told(warm) | checks.told(seen)
    decisions = [one.decision for one in loaded.played if one.decision]
    labels = [(one["id"], one["label"]) for one in recorded.labels]
    loaded.unrecorded = [
        *checks.unfaithful("prediction", told, checks.captured(recorded.captures)),
        *checks.unfaithful("label", warm.accepted | seen.accepted, labels),
    ]
    loaded.misanswered = [
        *checks.mixed(seen.answered, scores),
        *checks.untimely(seen.answered, versions[0], decisions, TTL_SECONDS),
    ]
    loaded.predictions, loaded.labels = len(recorded.captures), len(recorded.labels)
    loaded.objects, loaded.megabytes = recorded.objects, recorded.size / 1024**2
    loaded.errors = [one.fault for one in [*warm.sent, *seen.sent] if one.fault]
    return loaded


def status(own: Client) -> Any:
    """Return the endpoint document."""
    return own.json(page(f"/control{PATH}/status?evidence=no"))["document"]


def candidate(document: Any) -> str:
    """Return the version that waits beside the champion."""
    waiting = (one for one, status in document["statuses"].items() if status == "candidate")
    found = next(waiting, None)
    if found is None:
        raise SystemExit("no candidate waits: see build/serve/lambda.log")
    return str(found)


def told_apart(
    own: Client, rows: list[dict[str, Any]], versions: list[str], seen: Seen
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """Return the rows that two versions score differently, and the scores of both.

    Everything that a load needs has answered once then: cold starts are measured by `make bench`.
    """
    asks = Asks(rows, MIXED)
    ways = [f"{PATH}/predict", *(f"{PATH}/predict?version={version}" for version in versions)]
    predictions = [asked_for("large", way, rows, range(len(rows))) for way in ways]
    for ask in [*map(page, PAGES), *asks.refused, asks.outcomes("feedback", 1), *predictions]:
        answer(own, asks, ask, seen, time.monotonic())
    if faults := [one.fault for one in seen.sent if one.fault]:
        raise SystemExit(f"not ready for a load: {faults}")
    scores = {one.version: [each["score"] for each in one.predictions] for one in seen.answered}
    first, second = (scores[version] for version in versions)
    apart = [at for at in range(len(rows)) if abs(first[at] - second[at]) > APART]
    if len(apart) < len(rows) // 2:
        raise SystemExit(f"{versions} score all but {len(apart)} of {len(rows)} rows alike")
    return [rows[at] for at in apart], {
        version: [own_scores[at] for at in apart] for version, own_scores in scores.items()
    }


def replay(own: Client, seen: Seen) -> None:
    """Let control score a prediction again, which loads a model there."""
    prediction_id = seen.answered[0].predictions[0]["id"]
    if not own.json(page(f"/control{PATH}/predictions/{prediction_id}"))["identical"]:
        raise SystemExit(f"{prediction_id} does not score the same again")


def played(target: Target, phase: Phase, asks: Asks, seen: Seen) -> Played:
    """Send what a phase asks, and let a person decide in its middle."""
    memory: Memory = []
    decisions: list[Decision] = []
    sent, answered = len(seen.sent), len(seen.answered)

    def halfway() -> None:
        if phase.decision:
            decisions.append(decided(target.port, phase.decision))

    with sampled(target, memory):
        begun, ended = play(target.port, phase.plan, asks, seen, halfway)
    decision = decisions[0] if decisions else None
    if decision:  # a burst may be over before a warm function has looked again
        time.sleep(max(0.0, decision.received + TTL_SECONDS - time.monotonic()))
        with closing(Client(target.port)) as own:
            last = asked_for("predict", f"{PATH}/predict", asks.rows, range(1))
            answer(own, asks, last, seen, time.monotonic())
    return Played(
        phase,
        ended - begun,
        checks.times(seen.sent[sent:]),
        [(at - begun, found) for at, found in memory],
        decision,
        checks.shown_within(seen.answered[answered:], decision) if decision else None,
    )


def decided(port: int, what: str) -> Decision:
    """Approve the candidate, or roll back to the previous champion; SystemExit if it is refused."""
    with closing(Client(port)) as own:
        document = status(own)
        body = {"generation": document["generation"], "reason": "a load in its middle"}
        if what == "approve":
            body["version"] = candidate(document)
        path, sent = f"/control{PATH}/{what}", time.monotonic()
        own.json(Ask("decision", "POST", path, 200, json.dumps(body).encode(), JSON))
        received, after = time.monotonic(), status(own)["champion"]
    return Decision(what, after, sent, received)


if __name__ == "__main__":
    main()
