"""Put `make serve` and `sam local start-api` under load on 127.0.0.1, and check what came of it.

A soak of everything that clients send, at a steady rate, with a promotion in its middle; a burst of
many clients as fast as they can, with a rollback in its middle; and a soak of a stack that records
nothing, whose memory must stand still. Ends with 1 if anything is lost, mixed up or wrong.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from urllib3 import HTTPConnectionPool

from benchmarks.load import checks, client, report
from benchmarks.load.checks import Decision
from benchmarks.load.client import PATH, PREDICT, Answer, Ask, Asks, Phase, answer, asked_for
from benchmarks.load.report import Loaded, Played
from benchmarks.load.targets import TTL_SECONDS, Target, recorded, sam_local, sampled, served
from benchmarks.shown import Page, Part
from local.plane import containers
from local.template import ROOT

PAGE = Page("make load", ROOT / "docs" / "load.md", minutes=60)
BUILD = ROOT / "build" / "load"
SOAK_SECONDS, QUICK_SOAK_SECONDS = 240, 8
APART = 0.01  # of two versions' scores of a row, so that it shows which of them answered
SERVE, BARE_SERVE, SAM = "make serve", "make serve LEVEL=1", "sam local start-api"
TARGETS = (SERVE, BARE_SERVE, SAM)


def phases(target: str, soak: int, *, quick: bool) -> list[Phase]:
    """Return what a target goes through; soak: seconds."""
    share = 10 if quick else 1
    if target == BARE_SERVE:
        # Each thread of the server first keeps as much memory as its largest request takes.
        return [
            Phase("warm-up", 2_000 // share, 8, client.BARE),
            Phase("soak", soak * 50, 8, client.BARE, rate=100),
        ]
    rate, clients, burst = (8, 4, 400) if target == SAM else (20, 8, 5_000)
    return [
        Phase("soak", soak * rate, clients, client.MIXED, rate, "approve"),
        Phase("burst", burst // share, 32, client.HARD, decision="rollback"),
    ]


def main() -> None:
    """Measure everything, write it down, and end with 1 if something does not hold."""
    parser = PAGE.parser("benchmarks.load", __doc__)
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
    PAGE.limit()
    found = bench(targets, soak, quick=asked.quick)
    goals = PAGE.write(found, whole=not asked.target and soak >= SOAK_SECONDS)
    sys.exit(0 if all(goal.reached for goal in goals) else 1)


def bench(targets: Iterable[str], soak: int, *, quick: bool) -> Iterator[Part]:
    """Put each target under load, one after the other."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "load.log").open("w") as log:
        yield report.part(
            [under_load(name, phases(name, soak, quick=quick), log) for name in targets]
        )


def under_load(name: str, todo: list[Phase], log: IO[str]) -> Loaded:
    """Start a target, put it through its phases, and return what became of it."""
    print(f"{name}: starting", flush=True)
    loaded = Loaded(name, bare=name == BARE_SERVE)
    with tempfile.TemporaryDirectory() as folder:
        kept, level = Path(folder), "1" if loaded.bare else "3"
        with sam_local(log, kept) if name == SAM else served(log, kept, level) as target:
            with client.connect(target.port) as http:
                document, described = status(http), client.told(http, Ask("page", PATH))
                champion, fields = document["champion"], list(described["schema"]["properties"])
                versions = [champion, candidate(document)]
                rows, scores, warm = told_apart(http, client.pool(fields), versions)
            for phase in todo:
                played = put_through(name, target, phase, Asks(rows, phase.kinds))
                print(f"{played.name}: {played.seconds:.0f} s", flush=True)
                loaded.played.append(played)
        captures, captured_sizes = recorded(kept, "captures")
        labels, label_sizes = recorded(kept, "labels")
    answers = [one for each in loaded.played for one in each.answers]
    seen = [*warm, *answers]
    expected = {} if loaded.bare else checks.told(seen)
    accepted = {id_: true for one in seen if not one.fault for id_, true in one.ask.labels.items()}
    decisions = [one.decision for one in loaded.played if one.decision]
    loaded.faults = {
        report.RIGHT: [one.fault for one in seen if one.fault],
        report.RECORDED: [
            *checks.unfaithful("prediction", expected, checks.captured(captures)),
            *checks.unfaithful("label", accepted, [(one["id"], one["label"]) for one in labels]),
        ],
        report.NAMED: [
            *checks.mixed(answers, scores),
            *checks.untimely(answers, champion, decisions, TTL_SECONDS),
        ],
    }
    loaded.predictions, loaded.labels = len(captures), len(labels)
    loaded.sizes = [*captured_sizes, *label_sizes]
    return loaded


def status(http: HTTPConnectionPool) -> Any:
    """Return the endpoint document."""
    return client.told(http, Ask("page", f"/control{PATH}/status?evidence=no"))["document"]


def candidate(document: Any) -> str:
    """Return the version that waits beside the champion."""
    for version, status in document["statuses"].items():
        if status == "candidate":
            return str(version)
    raise SystemExit("no candidate waits: see build/serve/lambda.log")


def told_apart(
    http: HTTPConnectionPool, rows: list[dict[str, Any]], versions: list[str]
) -> tuple[list[dict[str, Any]], dict[str, list[float]], list[Answer]]:
    """Return the rows that two versions score differently, the scores of both, and all answers.

    Everything that a load needs has answered once then: cold starts are measured by `make bench`.
    """
    asks = Asks(rows, client.MIXED)
    ways = [PREDICT, *(f"{PREDICT}?version={version}" for version in versions)]
    predictions = [asked_for("large", way, rows, range(len(rows))) for way in ways]
    pages = [Ask("page", path) for path in client.PAGES]
    todo = [*pages, *asks.refused, asks.outcomes("feedback", 1), *predictions]
    answers = [answer(http, ask) for ask in todo]
    if faults := [one.fault for one in answers if one.fault]:
        raise SystemExit(f"not ready for a load: {faults}")
    scores = {
        one.found["version"]: [each["score"] for each in one.found["predictions"]]
        for one in checks.predicted(answers)
    }
    first, second = (scores[version] for version in versions)
    apart = [at for at in range(len(rows)) if abs(first[at] - second[at]) > APART]
    if len(apart) < len(rows) // 2:
        raise SystemExit(f"{versions} score all but {len(apart)} of {len(rows)} rows alike")
    chosen = {version: [found[at] for at in apart] for version, found in scores.items()}
    return [rows[at] for at in apart], chosen, answers


def put_through(name: str, target: Target, phase: Phase, asks: Asks) -> Played:
    """Send what a phase asks, and let a person decide in its middle."""
    decisions: list[Decision] = []

    def halfway() -> None:
        if phase.decision:
            with client.connect(target.port) as own:
                decisions.append(decided(own, phase.decision))

    begun = time.monotonic()
    with client.connect(target.port, phase.clients) as http:
        answers, memory = sampled(target, lambda: client.play(http, phase, asks, halfway))
        ended = time.monotonic()
        for decision in decisions:  # a burst may be over before a warm function has looked again
            time.sleep(max(0.0, decision.received + TTL_SECONDS - time.monotonic()))
            answers.append(answer(http, asked_for("predict", PREDICT, asks.rows, range(1))))
    return Played(name, phase, answers, ended - begun, memory, next(iter(decisions), None))


def decided(http: HTTPConnectionPool, what: str) -> Decision:
    """Approve the candidate, or roll back to the previous champion; SystemExit if it is refused."""
    document = status(http)
    body = {"generation": document["generation"], "reason": "a load in its middle"}
    if what == "approve":
        body["version"] = candidate(document)
    asked = answer(http, Ask("decision", f"/control{PATH}/{what}", 200, json.dumps(body)))
    if asked.fault:
        raise SystemExit(asked.fault)
    return Decision(what, status(http)["champion"], asked.sent, asked.received)


if __name__ == "__main__":
    main()
