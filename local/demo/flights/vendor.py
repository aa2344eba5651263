"""A vendor's model, which the team of the demo tries in autumn: good until it is in use.

The vendor has seen the whole year, so its answers beat everything that was learnt until then: they
pass the gate and the comparison. Once a quarter of the requests are its own to answer, it updates
its service, and from then on says late where it said on time.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
from werkzeug import Request, Response

from evergreen.contract import endpoint_files
from evergreen.contract.schema import columns_of, schema_of
from evergreen.serving.external import External
from local.cloud.ports import HOST
from local.cloud.server import answering
from local.demo.result import Event, Injected
from local.plane import stack
from local.samples import flights

if TYPE_CHECKING:
    from local.demo.replay import Replay

NAME = "a vendor’s service that drifts away"
CANDIDATE = "vendor"
LEVEL = 4  # where a canary would notice
FROM = datetime(flights.YEAR, 9, 20, 9, 5, tzinfo=UTC)  # a morning, before the rollout looks
DAY = timedelta(days=1)
AGAIN, TRIES = 7 * DAY, 3  # where the training does not come to a candidate
UPDATED_AT = 0.25  # of the requests
PORT = 8813  # if it is free: the address is part of the version, and so of its name
STRONG = {"max_iter": 80, "max_leaf_nodes": 63}


@dataclass
class Service:
    """What the vendor runs: a model of all the flights of the year.

    updated: its scores have been turned round.
    """

    endpoint: str
    table: pd.DataFrame
    seed: int
    updated: bool = False

    def __post_init__(self) -> None:
        found = endpoint_files.load(self.endpoint)
        self._schema = schema_of(self.endpoint, found.row)
        self._model = found.candidates(self.seed)["hist-gradient-boosting"]
        strong = {f"histgradientboostingclassifier__{name}": n for name, n in STRONG.items()}
        examples = found.examples(self.table)
        frame = examples[list(self._schema["properties"])]
        self._model.set_params(**strong).fit(frame, examples["label"].astype(bool))
        self._serving = ExitStack()
        answer = Request.application(self._answer)
        try:
            where = self._serving.enter_context(answering(answer, HOST, PORT))
        except SystemExit:
            where = self._serving.enter_context(answering(answer, HOST))
        self.url = f"{where}/late"

    def _answer(self, request: Request) -> Response:
        rows = msgspec.json.decode(request.get_data())["instances"]
        return Response(msgspec.json.encode({"scores": self.scores(rows)}))

    def scores(self, rows: list[Mapping[str, Any]]) -> list[float]:
        """Return the chance of each row to be late."""
        found = self._model.predict_proba(pd.DataFrame(columns_of(self._schema, rows)))[:, 1]
        return list(np.where(self.updated, 1 - found, found).tolist())

    def stop(self) -> None:
        """End it."""
        self._serving.close()


@dataclass
class Trial:
    """What the team does about the vendor, on the agenda of a replay; close() ends it."""

    replayed: "Replay"
    table: pd.DataFrame
    seed: int
    service: Service | None = None
    version: str | None = None
    tries: int = 0
    _contract: ExitStack = field(default_factory=ExitStack)

    def plan(self) -> None:
        """Begin on the first free day of autumn."""
        self.replayed.plan(FROM, self.look)

    def look(self) -> None:
        """Try the vendor if nothing waits or is compared, else look again tomorrow."""
        seen = self.replayed.registry.document(self.replayed.endpoint)
        assert seen is not None
        if seen.document.candidate or seen.document.challenger:
            self.replayed.plan(datetime.now(UTC) + DAY, self.look)
            return
        self.tries += 1
        self._sign()
        before = len(self.replayed.events)
        path = f"/control/endpoints/{self.replayed.endpoint}/retrain"
        self.replayed.post(path, {})
        self.replayed.plane.settle()
        trained = [e.detail for e in self.replayed.events[before:] if e.type == "Model Trained"]
        seen = self.replayed.registry.document(self.replayed.endpoint)
        waits = seen.document.candidate if seen else None
        if any(d["version"] == waits and d["candidate"] == CANDIDATE for d in trained):
            self.version = waits
            self.replayed.injected.append(Injected(NAME, datetime.now(UTC), waits))
            return
        self._contract.close()
        if self.tries < TRIES:
            self.replayed.plan(datetime.now(UTC) + AGAIN, self.look)

    def _sign(self) -> None:
        """Add the vendor to the candidates, as a deployment of a changed file would."""
        name = self.replayed.endpoint
        if self.service is None:
            self.service = Service(name, self.table, self.seed)
        usual, vendor = endpoint_files.load(name), self.service.url
        changed = replace(
            usual,
            candidates=lambda seed: {**usual.candidates(seed), CANDIDATE: External(url=vendor)},
        )
        self._contract.enter_context(stack.changed(name, changed))

    def hear(self, event: Event) -> None:
        """Do what follows from an event: the vendor's update, or the end of its contract."""
        detail = event.detail
        if self.version is None or self.service is None:
            return
        if event.type == "Challenger Started" and detail["version"] == self.version:
            self.service.updated = detail["share"] >= UPDATED_AT
        gone = {"Candidate Rejected": "version", "Model Rolled Back": "previous"}.get(event.type)
        if gone and detail.get(gone) == self.version:
            self._contract.close()

    def close(self) -> None:
        """End the contract and the service."""
        self._contract.close()
        if self.service:
            self.service.stop()
