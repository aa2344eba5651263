"""What a data scientist writes, in words that every wing uses."""

from pathlib import Path


def project_root() -> Path:
    """Return the folder that holds endpoints/ and the handlers: functions/, in Lambda /var/task."""
    return Path(__file__).parents[2]
