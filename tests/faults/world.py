"""One endpoint whose functions are cut off at their calls, and what must hold after each."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from evergreen.registry import run_claims
from evergreen.registry.registry import Registry
from evergreen.registry.run_claims import Run
from evergreen.registry.state import Decision, Document
from evergreen.serving import model
from local.plane.plane import Plane
from local.template import Template
from tests.faults.wire import Cut, KilledError, Wire, objects, restore
from tests.support.given import NAME
from tests.support.traffic import Announced

LOST: tuple[Cut, ...] = ("unanswered", "severed")

Act = Callable[[Plane], object]  # what Lambda, or a person, does


@dataclass(frozen=True)
class State:
    """What a run must come to, however often it was cut off.

    All but nonces, durations, and how many labels were read: an attempt that finds the version of
    an earlier one reads none.
    """

    document: Document | None
    decisions: list[Decision]
    runs: list[Run]
    versions: list[str]


@dataclass(frozen=True)
class World:
    """One deployment with one endpoint; each act is that of a new process."""

    template: Template
    registry: Registry
    announced: Announced
    wire: Wire

    def act(self, act: Act) -> object:
        """Do something in a new process that nothing cuts off."""
        self.wire.whole()
        return act(Plane(self.template))

    def state(self) -> State:
        """Return what the registry holds now."""
        seen = self.registry.document(NAME)
        decisions = []
        if seen:
            generations = range(1, seen.document.generation + 1)
            decisions = [self.registry.decision(NAME, one) for one in generations]
        keys = list(self.registry.store.keys(f"runs/{NAME}/"))
        runs = [
            run_claims.find(self.registry.store, NAME, key.split("/")[2].removesuffix(".json"))
            for key in keys
        ]
        return State(
            document=msgspec.structs.replace(seen.document, nonce="") if seen else None,
            decisions=[found for found in decisions if found],
            runs=[msgspec.structs.replace(run, seconds=None, labels={}) for run in runs if run],
            versions=self.registry.versions(NAME),
        )

    def said(self) -> set[str]:
        """Return what has been announced since this was asked last, each thing once."""
        return {json.dumps(event, sort_keys=True) for event in self.announced()}

    def champion_is_whole(self) -> None:
        """Assert that every version which the document lets answer can be loaded, and how."""
        seen = self.registry.document(NAME)
        if seen is None:
            return
        document = seen.document
        for version in {document.champion, *document.arms, document.fallback or document.champion}:
            manifest = self.registry.known(NAME, version)
            for name in manifest.artifacts:
                self.registry.artifact(manifest, name)
            model.fetch(self.registry, manifest, "onnx")

    def converges(self, act: Act, again: Act | None = None) -> list[str]:
        """Cut an act at each of its calls in each way; assert that it comes to the same end.

        again: what is done after a cut; the same act, if nothing else is said. Returns the calls
        of the act when nothing cuts it.
        """
        start = objects()
        self.said()
        self.act(act)
        calls, wanted, said = list(self.wire.calls), self.state(), self.said()
        self.act(again or act)
        assert self.state() == wanted, "done twice, it does more"
        for number, cut in _cuts(calls):
            restore(start)
            self.wire.cut_at(number, cut)
            if cut in ("before", "after"):
                with pytest.raises(KilledError):
                    act(Plane(self.template))
            else:
                _try(act, Plane(self.template))
            where = f"cut {cut} {calls[number]}"
            assert len(self.wire.calls) > number, where
            self.wire.whole()
            self.champion_is_whole()
            self.act(again or act)
            self.champion_is_whole()
            assert self.state() == wanted, where
            heard = self.said()
            assert heard == said, f"{where}: {heard ^ said}"
        return calls


def _cuts(calls: list[str]) -> list[tuple[int, Cut]]:
    """Return which call is cut, and how.

    The process dies before each, which is after the one before it, and after the last; of those
    that differ in digits alone, at the first and the last. Of what is written under a condition, or
    announced, the answers are lost: in each folder of the first and the last. Caches, which are in
    the other bucket, know no conditions.
    """
    died = _ends([re.sub(r"\d", "", call) for call in calls])
    folders = ["" if "databucket" in call else "/".join(call.split("/")[:4]) for call in calls]
    deaf = [number for number in _ends(folders) if folders[number]]
    found: list[tuple[int, Cut]] = [(number, "before") for number in died]
    found += [(len(calls) - 1, "after")]
    return found + [(number, cut) for number in deaf for cut in LOST]


def _ends(sorts: list[str]) -> list[int]:
    """Return where each sort comes first and last."""
    last = {sort: number for number, sort in enumerate(sorts)}
    return sorted({*(sorts.index(sort) for sort in last), *last.values()})


def _try(act: Act, plane: Plane) -> Any:
    try:
        return act(plane)
    except Exception:
        return None
