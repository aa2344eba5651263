"""The template's resources in moto, created once in a process and laid out again for each test."""

import copyreg
from collections.abc import Callable
from copy import deepcopy
from threading import Condition
from typing import Any

import time_machine
from botocore.endpoint_provider import RuleSet
from moto.core.base_backend import BackendDict

from local.cloud import resources
from local.template import Template
from tests.support.given import NOW

copyreg.pickle(Condition, lambda _: (Condition, ()))  # a queue of moto has one, and nobody waits

_KEPT: dict[int, tuple[object, Any]] = {}


def lay_out(template: Template) -> None:
    """Put the template's resources into moto, which has just been started."""
    for backends, account, region, state in _kept(template, lambda: _created(template)):
        backends[account][region].__dict__ = deepcopy(state)


def _created(template: Template) -> list[tuple[Any, str, str, dict[str, Any]]]:
    """Return what is in moto after they were created: 28 requests, and a key that is drawn."""
    with time_machine.travel(NOW, tick=False):
        resources.create(template)
    return [
        (backends, account, region, deepcopy(backend.__dict__))
        for backends in BackendDict._instances
        for account, region, backend in backends.iter_backends()
    ]


def rule_set(rules: list[Any], **more: Any) -> RuleSet:
    """Return a service's rules of addresses; each new client reads those of its service again."""
    found: RuleSet = _kept(rules, lambda: RuleSet(rules=rules, **more))
    return found


def _kept(source: object, make: Callable[[], Any]) -> Any:
    """Return what was made of a source; it is kept as well, so that nothing else has its id."""
    if id(source) not in _KEPT:
        _KEPT[id(source)] = source, make()
    return _KEPT[id(source)][1]
