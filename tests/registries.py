"""The registry of a bucket that tests play."""

from evergreen.registry import Registry
from evergreen.store import Store


def registry_of(store: Store) -> Registry:
    """Return the registry in a bucket."""
    return Registry(store)
