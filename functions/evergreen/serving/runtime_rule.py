"""What runs a rule: a version that is written down in JSON and needs no library of its own."""

from collections.abc import Sequence

import msgspec

from evergreen.contract.rule_file import RuleFile, scorer_of
from evergreen.contract.schema import Score
from evergreen.registry.manifest import Manifest


def scorer(body: bytes, inputs: Sequence[str]) -> Score:  # noqa: ARG001 - as in each runtime
    """Return what scores columns with the rule in `body`."""
    return scorer_of(msgspec.json.decode(body, type=RuleFile))


def check(manifest: Manifest) -> None:
    """Do nothing: a rule does not depend on the version of any library."""
