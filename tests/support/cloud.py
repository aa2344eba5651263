"""The template's resources in moto, created once in a process and laid out again for each test."""

import copyreg
import pickle
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from threading import Condition
from typing import Any

import time_machine
from botocore.endpoint_provider import RuleSet
from moto.core.base_backend import BackendDict
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from evergreen.aws.s3 import Store
from local.cloud import resources
from local.template import ACCOUNT, REGION, Template
from tests.support.given import NOW

copyreg.pickle(Condition, lambda _: (Condition, ()))  # a queue of moto has one, and nobody waits

_WRITTEN: dict[str, tuple[Any, bytes]] = {}
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


def written[T](store: Store, what: str, write: Callable[[], T]) -> T:
    """Write to a bucket; where the same was written to one that stood just so, put that back.

    what: the name of what is written, whichever test writes it.
    """
    bucket = s3_backends[ACCOUNT]["aws"].buckets[store.bucket]
    stood = {key: found.etag for key, found in bucket.keys.items()}
    keys = kms_backends[ACCOUNT][REGION].keys.values()  # another template's sign otherwise
    place = f"{what} {datetime.now(UTC)} {stood} {[key.key_material for key in keys]}"
    if place not in _WRITTEN:
        _WRITTEN[place] = write(), pickle.dumps(bucket.keys)  # moto empties each copy of a key
    else:
        bucket.keys = pickle.loads(_WRITTEN[place][1])  # noqa: S301 - our own
    found: T = _WRITTEN[place][0]
    return found


def rule_set(rules: list[Any], **more: Any) -> RuleSet:
    """Return a service's rules of addresses; each new client reads those of its service again."""
    found: RuleSet = _kept(rules, lambda: RuleSet(rules=rules, **more))
    return found


def _kept(source: object, make: Callable[[], Any]) -> Any:
    """Return what was made of a source; it is kept as well, so that nothing else has its id."""
    if id(source) not in _KEPT:
        _KEPT[id(source)] = source, make()
    return _KEPT[id(source)][1]
