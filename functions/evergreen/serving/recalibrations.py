"""The maps of scores that a warm function has read, each looked for again until it is of today."""

import os
import time
from datetime import date

import msgspec

from evergreen.aws.telemetry import logger, measure
from evergreen.contract.errors import worded
from evergreen.registry.recalibration import Recalibration
from evergreen.registry.registry import FRESH, Registry

LOOK_SECONDS = 600.0  # between two looks for a newer one
KEPT = 1_000  # versions whose map is remembered


class Recalibrations(msgspec.Struct):
    """Reads maps for one process; whatever is wrong with one, scores stay as they are.

    on: whether this stack recalibrates, by the variable RECALIBRATION.
    """

    registry: Registry
    on: bool = msgspec.field(default_factory=lambda: os.environ.get("RECALIBRATION") == "on")
    _looks: dict[tuple[str, str], tuple[float, Recalibration | None]] = msgspec.field(
        default_factory=dict
    )

    def of(self, endpoint: str, version: str, day: date) -> Recalibration | None:
        """Return the map that a version is served with on a day, or None for the identity."""
        if not self.on:
            return None
        checked, found = self._looks.get((endpoint, version), (-LOOK_SECONDS, None))
        of_today = found is not None and found.day == day
        if not of_today and abs(time.time() - checked) >= LOOK_SECONDS:
            found = self._read(endpoint, version, day) or found
            if len(self._looks) >= KEPT:
                self._looks.clear()
            self._looks[endpoint, version] = (time.time(), found)
        return found if found and day - FRESH < found.day <= day else None

    def _read(self, endpoint: str, version: str, day: date) -> Recalibration | None:
        try:
            return self.registry.newest_recalibration(endpoint, version, day)
        except Exception as error:  # whatever it is, scores as they are can be answered
            measure(endpoint, RecalibrationFailed=1)
            about = {"endpoint": endpoint, "version": version, "reason": worded(error)}
            logger.warning("a recalibration cannot be read", extra=about)
            return None
