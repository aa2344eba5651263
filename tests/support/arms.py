"""Versions and documents for those who test what answers beside, and in place of, a champion."""

from typing import Any

import msgspec
import pandas as pd

from evergreen.contract.rule import Rule, When
from evergreen.contract.schema import columns_of
from evergreen.registry.registry import Registry, fingerprint
from evergreen.registry.state import Challenger
from evergreen.serving.external import External
from evergreen.serving.model import EXTERNAL, RULE
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.given import NAME, NOW, version

EVENING = When(("hour", ">=", 17), score=0.75)
ALWAYS = 0.25  # what a rule of these tests says of all other rows


def write_rule(registry: Registry, trained: Trained, name: str = version(9)) -> str:
    """Write a version that is a rule, and return its id."""
    rule = Rule(EVENING, otherwise=ALWAYS)
    examples = given.two_columns([1.0, 2.0])
    frame = pd.DataFrame(columns_of(trained.manifest.schema, [given.whole()] * 2))
    rule.fit(frame, examples.labels)
    golden = [(given.whole(hour=hour), 0.75 if hour >= 17 else ALWAYS) for hour in range(24)]
    return _write(registry, trained, name, RULE, rule.artifact(), kind="rule", golden=golden)


def write_external(registry: Registry, trained: Trained, host: str, name: str, **more: Any) -> str:
    """Write a version that asks a service, and return its id."""
    service = External(url=f"http://{host}", rule=Rule(EVENING, otherwise=ALWAYS), **more)
    frame = pd.DataFrame(columns_of(trained.manifest.schema, [given.whole()] * 2))
    service.fit(frame, given.two_columns([1.0, 2.0]).labels)
    described = {"kind": "external", "external": service.service()}
    return _write(registry, trained, name, EXTERNAL, service.artifact(), **described)


def _write(
    registry: Registry, trained: Trained, name: str, artifact: str, body: bytes, **fields: Any
) -> str:
    manifest = msgspec.structs.replace(
        trained.manifest, version=name, artifacts={artifact: fingerprint(body)}, **fields
    )
    registry.write_version(manifest, {artifact: body})
    return name


def change(registry: Registry, **fields: Any) -> None:
    """Write the endpoint document as it is, but for some fields."""
    seen = registry.document(NAME)
    assert seen is not None
    generation = seen.document.generation + 1
    fields |= {"generation": generation, "nonce": f"nonce {generation}"}
    registry.write_document(msgspec.structs.replace(seen.document, **fields), seen)


def canary(registry: Registry, name: str, share: float = 0.5) -> None:
    """Give a version a share of the requests."""
    challenger = Challenger(version=name, stage="canary", started=NOW, since=NOW, share=share)
    change(registry, challenger=challenger)
