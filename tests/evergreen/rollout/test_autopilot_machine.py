"""Random events, faults and people's actions at the reconciler: what holds after each of them."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import rollout
from evergreen.aws.telemetry import logger
from evergreen.contract.errors import DocumentChangedError, ForbiddenChangeError
from evergreen.registry import events, transitions
from evergreen.registry.registry import Seen
from evergreen.registry.state import Decision, Document, Experiment, Status, Type
from evergreen.registry.transitions import MOVES, Change
from evergreen.rollout import gather_evidence, tick
from evergreen.rollout.evidence import ArmDay, Evidence, Guard, PairedDay, Waiting
from evergreen.rollout.gathering import Gathering
from tests.support import rollouts
from tests.support.given import NAME, NOW
from tests.support.memory import CrashError, Fault, Memory
from tests.support.registries import registry_of

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
FIRST = date(2013, 2, 1)
EXPECTED = (ForbiddenChangeError, DocumentChangedError, CrashError)
PEOPLE: tuple[Type, ...] = (
    "challenger rejected",
    "promoted",
    "rolled back",
    "experiment started",
    "experiment ended",
    "paused",
    "resumed",
)
LIKELY: tuple[Type, ...] = (*PEOPLE[:5], *PEOPLE[2:4], *PEOPLE)

fault_kinds: st.SearchStrategy[Any] = st.none() | st.tuples(
    st.sampled_from(["before", "after", "lost", "overtaken", "bus"]), st.integers(0, 3)
)
# What is drawn first, and most often, is what leads somewhere.
gains = st.sampled_from([0.0, 0.0, -0.05, 0.05])
counts = st.sampled_from([20, 50, 3, 0])
rarely = st.integers(0, 15).map(lambda number: number == 7)
mostly = st.integers(0, 3).map(lambda number: number < 3)


def days(gain: float, count: int) -> list[PairedDay]:
    return [
        PairedDay(day=FIRST + n * DAY, rows=100, gain=gain + 0.004 * (n % 3 - 1))
        for n in range(count)
    ]


def arm(loss: float, count: int) -> list[ArmDay]:
    return [
        ArmDay(day=FIRST + n * DAY, rows=100, labelled=80, loss=loss + 0.004 * (n % 2))
        for n in range(count)
    ]


found = st.builds(
    lambda **drawn: drawn,
    paired=st.builds(days, st.sampled_from([0.05, 0.05, 0.0, -0.05]), counts),
    watched=st.builds(days, gains, counts),
    canary=st.sampled_from(
        [Guard(requests=2_000, rows=2_000)] * 5 + [Guard(requests=50, failed=9)]
    ),
    champion=st.sampled_from([Guard()] * 9 + [Guard(requests=50, failed=9)]),
    alarms=st.sampled_from([()] * 9 + [("performance degraded",)]),
    control=st.builds(arm, st.just(0.5), counts),
    treatment=st.builds(arm, st.sampled_from([0.3, 0.5, 0.7]), counts),
    keys=st.sampled_from([(4_000, 1_000)] * 3 + [(9_000, 10)]),
    stale=rarely,
    alone=rarely,
    broken=st.sampled_from([0] * 12 + [1, 2, 3]),  # which, of all but the first
)


@cache
def manifest() -> bytes:
    """Return the manifest of a version, whose reference and rows do not matter here."""
    found = rollouts.trained_on(lie=False).manifest
    return msgspec.json.encode(
        msgspec.structs.replace(found, version="VERSION", reference={}, golden=[], fallback=None)
    )


class Autopilot(RuleBasedStateMachine):
    """One endpoint, in a bucket in memory, under the real `evergreen.rollout.tick`."""

    reached: ClassVar[Counter[str]] = Counter()  # over all runs

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.registry = registry_of(self.memory)
        self.announced: list[Decision] = []
        self.compared: dict[str, str] = {}  # candidate -> champion of its training
        self.pending: list[tuple[str, Seen]] = []
        self.now, self.made, self.bus_fails = NOW, 0, False
        self.old: list[int] = [1]
        self.folded: dict[str, Status] = {}
        self.folded_to, self.champion = 0, ""
        self.patch = pytest.MonkeyPatch()
        stack = SimpleNamespace(
            registry=lambda **_: self.registry, data=lambda: None, events=lambda: None
        )
        self.patch.setattr(rollout, "bootstrap", stack)
        self.patch.setattr(tick, "measure", lambda *_, **__: None)
        self.patch.setattr(tick, "_measure", lambda *_: None)
        self.patch.setattr(logger, "info", lambda *_, **__: None)
        self.patch.setattr(logger, "warning", lambda *_, **__: None)
        self.patch.setattr(events, "announcer", lambda *_: self.announce)

    def teardown(self) -> None:
        self.patch.undo()
        self.memory.faults.clear()
        self.bus_fails = False
        seen = self.seen()
        self.registry.settle(seen.document, self.announce)
        self.check_the_history(seen.document, settled=True)

    # What acts

    def announce(self, decision: Decision) -> None:
        if self.bus_fails:
            self.bus_fails = False
            raise CrashError
        events.announcements(NAME, decision)
        self.announced.append(decision)

    def seen(self) -> Seen:
        seen = self.registry.document(NAME)
        assert seen is not None, "an endpoint without a document"
        return seen

    def write(self, document: Document, seen: Seen | None) -> None:
        self.registry.write_document(document, seen, self.announce)

    def new_version(self) -> str:
        self.made += 1
        version = f"v{self.made:03d}"
        body = manifest().replace(b"VERSION", version.encode())
        key = f"models/{NAME}/{version}/manifest.json"
        self.memory.objects[key] = self.registry.seal.seal(key, body)
        return version

    def overtake(self) -> None:
        """Let somebody else do something in the middle of a write."""
        seen = self.seen()
        self.write(self.after(seen, "candidate refused", self.new_version()), seen)

    def after(self, seen: Seen, kind: Type, version: str, **more: Any) -> Document:
        generation = more.pop("generation", seen.document.generation)
        by = more.pop("by", "somebody")
        change = Change(type=kind, version=version, by=by, reason="so", **more)
        return transitions.apply(seen.document, change, self.now, generation)

    def attempt(self, fault: Any, action: Callable[[], object]) -> bool:
        """Do something that a fault may hit; say whether it went through."""
        if fault:
            what, writes = fault
            self.bus_fails = what == "bus"
            if what in ("before", "after", "lost"):
                self.memory.faults.append(Fault(what, writes))
            elif what == "overtaken":
                self.memory.faults.append(Fault("lost", writes, self.overtake))
        try:
            action()
        except EXPECTED:
            return False
        finally:
            self.memory.faults.clear()
            self.bus_fails = False
        return True

    @initialize(steps=st.integers(0, 4))
    def first(self, steps: int) -> None:
        """Begin with the first champion, or on the way of a third version to be champion."""
        version = self.new_version()
        change = Change(type="promoted", version=version, by="a run", reason="the first")
        self.write(transitions.first(NAME, change, self.now), None)
        way: tuple[Type, ...] = (
            "promoted", "candidate entered", "shadow started", "canary started",
        )  # fmt: skip
        for kind in way[:steps]:
            if kind in ("promoted", "candidate entered"):
                self.compared[version := self.new_version()] = self.seen().document.champion
            seen = self.seen()
            share = 0.05 if kind == "canary started" else 0.0
            self.write(self.after(seen, kind, version, share=share), seen)

    @rule(hours=st.sampled_from([1, 30, 24 * 20]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(ends=st.booleans())
    def a_training_begins(self, ends: bool) -> None:
        self.pending.append((self.new_version(), self.seen()))
        if ends:
            self.a_training_ends_perhaps_late(number=-1, passes=True, fault=None)

    @rule(number=st.integers(0, 3), passes=mostly, fault=fault_kinds)
    def a_training_ends_perhaps_late(self, number: int, passes: bool, fault: Any) -> None:
        if not self.pending:
            return
        version, seen = self.pending.pop(number % len(self.pending))
        self.compared[version] = seen.document.champion
        kind: Type = "candidate entered" if passes else "candidate refused"
        if self.attempt(fault, lambda: self.write(self.after(seen, kind, version), seen)):
            return
        fresh = self.seen()  # the retry of a training compares anew, or finds what it has done
        self.compared[version] = fresh.document.champion
        self.attempt(None, lambda: self.write(self.after(fresh, kind, version), fresh))

    @rule(
        at=st.sampled_from([0, 0, 0, 0, -1, -40]),
        level=st.sampled_from(["4", "4", "4", "4", "3", "1"]),
        drawn=found,
        fault=fault_kinds,
        times=st.sampled_from([6, 3, 2, 1]),
        apart=st.sampled_from([30, 30, 0]),
    )
    def ticks(
        self, at: int, level: str, drawn: dict[str, Any], fault: Any, times: int, apart: int
    ) -> None:
        """Tick several times: late, early, or twice in the same moment."""

        def gather(sources: Gathering, _: Any) -> Evidence:
            return self.evidence(sources.document, slot, dict(drawn))

        self.patch.setenv("MATURITY_LEVEL", level)
        self.patch.setenv("RECALIBRATION", "on")
        self.patch.setattr(gather_evidence, "gather", gather)
        self.patch.setattr(rollout, "_model", cache(lambda _, version: version))  # all are whole
        for _ in range(times):
            slot = self.now + at * DAY
            self.attempt(fault, lambda: self.tick(slot))  # noqa: B023
            self.now += timedelta(hours=apart)
            fault = None

    def tick(self, slot: datetime) -> None:
        try:  # a decision of the rollout's must be one that the document allows
            rollout.look_at(NAME, slot)
        except ForbiddenChangeError as error:
            raise AssertionError(f"the rollout wants what is not allowed: {error}") from error

    def evidence(self, document: Document, slot: datetime, drawn: dict[str, Any]) -> Evidence:
        is_stale, alone, broken = drawn.pop("stale"), drawn.pop("alone"), drawn.pop("broken")
        versions = sorted(document.statuses)
        waiting = None
        if document.candidate:
            compared_with = "v000" if is_stale else self.compared.get(document.candidate)
            waiting = Waiting(document.candidate, compared_with, "unlike" if alone else None)
        return Evidence(
            at=slot,
            waiting=waiting,
            broken={versions[broken]: "damaged"} if 0 < broken < len(versions) else {},
            **drawn,
        )

    @rule(
        kind=st.sampled_from(LIKELY),
        number=st.integers(0, 30),
        control=st.integers(0, 30),
        share=st.sampled_from([0.2] * 9 + [0.5, 0.0, 2.0, float("nan")]),
        promote=st.booleans(),
        is_stale=rarely,
        likely=mostly,
        fault=fault_kinds,
    )
    def a_person_asks(
        self, kind: Type, number: int, control: int, share: float, promote: bool, is_stale: bool,
        likely: bool, fault: Any,
    ) -> None:  # fmt: skip
        seen = self.seen()
        document = seen.document
        versions = [*sorted(document.statuses), "nobody's"]
        version = versions[number % len(versions)]
        more: dict[str, Any] = {}
        if kind == "experiment ended" and document.experiment is None:
            kind = "experiment started"
        if likely:  # what a person would ask for, who has looked
            wanted = {
                "rolled back": document.previous,
                "promoted": document.candidate,
                "experiment started": document.candidate or document.previous,
                "challenger rejected": document.challenger and document.challenger.version,
            }
            if document.paused:
                kind = "resumed"
            elif kind in wanted:
                version = wanted[kind] or ""
                if not version:
                    self.a_training_begins(ends=True)
                    return
        if kind == "experiment started":
            more["experiment"] = Experiment(
                id=f"e{document.generation}",
                control=document.champion if likely else versions[control % len(versions)],
                treatment=version, share=share, hypothesis="", min_rows=200, start=self.now,
                end=self.now + 30 * DAY, promote=promote,
            )  # fmt: skip
        if kind == "promoted" and version not in document.statuses:
            return  # control looks for its manifest first
        if is_stale:
            more["generation"] = self.old[number % len(self.old)]
        went = self.attempt(
            fault, lambda: self.write(self.after(seen, kind, version, **more), seen)
        )
        if is_stale and more["generation"] != document.generation:
            assert not went
            assert self.seen().document.generation == document.generation

    @rule(kind=st.sampled_from(LIKELY))
    def two_act_at_once(self, kind: Type) -> None:
        seen = self.seen()
        version = seen.document.candidate or seen.document.previous or seen.document.champion
        try:
            second = self.after(seen, kind, version)
        except ForbiddenChangeError:
            return
        first = self.after(seen, "candidate refused", self.new_version())

        went = [self.attempt(None, lambda: self.write(one, seen)) for one in (first, second)]  # noqa: B023

        assert went == [True, False]

    # What always holds

    @invariant()
    def one_champion_answers(self) -> None:
        document = self.seen().document
        champions = [name for name, status in document.statuses.items() if status == "champion"]
        assert champions == [document.champion]
        needed = {document.champion, *document.arms} | {document.previous or document.champion}
        for version in needed:
            assert f"models/{NAME}/{version}/manifest.json" in self.memory.objects

    @invariant()
    def statuses_and_roles_agree(self) -> None:
        document = self.seen().document

        def of(*names: Status) -> set[str]:
            return {name for name, status in document.statuses.items() if status in names}

        assert len(of("candidate")) <= 1
        challenger = document.challenger
        assert of("shadow", "canary") == ({challenger.version} if challenger else set())
        if challenger:
            assert document.statuses[challenger.version] == challenger.stage
            assert (challenger.share > 0) == (challenger.stage == "canary")
            assert (challenger.canary is not None) == (challenger.stage == "canary")
        experiment = document.experiment
        assert of("ab") == (set(experiment.before) if experiment else set())
        if experiment:
            assert set(document.arms) == of("ab")

    @invariant()
    def the_champion_keeps_a_share(self) -> None:
        document = self.seen().document
        assert document.champion not in document.arms
        assert all(share > 0 for share in document.arms.values())
        assert sum(document.arms.values()) < 1

    @invariant()
    def history_has_no_gap(self) -> None:
        document = self.seen().document
        self.check_the_history(document, settled=False)
        if self.old[-1] != document.generation:
            self.old.append(document.generation)

    def check_the_history(self, document: Document, *, settled: bool) -> None:
        last = document.generation if settled else document.generation - 1
        for generation in range(self.folded_to + 1, last + 1):
            decision = self.registry.decision(NAME, generation)
            assert decision is not None, f"generation {generation} is not in the history"
            assert decision in self.announced, f"generation {generation} was not announced"
            self.fold(decision)
        if last == document.generation:
            assert self.folded == document.statuses
            assert self.champion == document.champion
        else:
            assert document.last.generation == document.generation
            assert self.moved(document.last) == document.statuses

    def fold(self, decision: Decision) -> None:
        assert decision.generation == self.folded_to + 1
        assert decision.previous == (self.champion or None)
        Autopilot.reached[decision.type] += 1
        self.folded, self.folded_to = self.moved(decision), decision.generation
        (self.champion,) = (v for v, status in self.folded.items() if status == "champion")

    def moved(self, decision: Decision) -> dict[str, Status]:
        for version, status in decision.moves.items():
            assert status in MOVES[self.folded.get(version)]
        return self.folded | decision.moves


def test_no_way_leads_to_an_endpoint_without_a_champion_or_to_a_gap_in_its_history() -> None:
    Autopilot.reached.clear()

    run_state_machine_as_test(Autopilot)

    assert set(Autopilot.reached) == set(get_args(Type)), "the machine does not reach everything"


def test_an_answer_that_was_lost_and_overtaken_is_still_known_as_given() -> None:
    machine = Autopilot()
    machine.first(steps=0)
    seen = machine.seen()
    paused = machine.after(seen, "paused", "v001", policy={"canary": (0.05, 0.25)})

    went = machine.attempt(("overtaken", 0), lambda: machine.write(paused, seen))

    assert went
    assert machine.seen().document.last.type == "candidate refused"
    machine.teardown()
