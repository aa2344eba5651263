"""The JSON that describes a model version: all that a reader needs to trust and use it."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from evergreen.contract.decoding import ANSWER_BYTES, MAX_ROWS, payload_bytes
from evergreen.contract.errors import ModelUnavailableError
from evergreen.contract.problem import Problem
from evergreen.contract.schema import JsonSchema
from evergreen.registry.recalibration import Tally

FORMAT = 1
VersionKind = Literal["model", "rule", "external"]
FALLBACK = "fallback"  # the candidate of a version that answers when no model can be loaded
_LONGEST = -2.2250738585072014e-308  # no score has more characters as JSON
GOLDEN_ROWS = 50  # with their scores, in a manifest: whoever loads the version repeats them


class Artifact(msgspec.Struct, frozen=True):
    """A file of the version: its size in bytes and its SHA-256 as hex."""

    bytes: int
    sha256: str


class FeatureProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts of one feature in the training data, in bins that every later window is counted in.

    edges: of numbers, ascending; bin i counts edges[i-1] < x <= edges[i], with an open bin at each
        end that the training data left empty. None for text.
    categories: of text, the most frequent; the bin before the last counts those that were not seen.
        None for numbers.
    seen: of text, where it has more values: a Bloom filter of these, which have a bin after those
        of the categories. It may take a value for seen that was not, and never the other way round.
    counts: rows per bin; the last bin counts the missing values.
    delta: the divergence that this feature shows from week to week without having drifted.
    missing, unseen: how large a share of a week's rows may be without a value, and with a category
        that was not seen before, as the weeks of the training data vary.
    hidden: the field is sensitive: no value of it stands here as text, and no page shows a bin.
    """

    counts: list[int]
    edges: list[float] | None = None
    categories: list[str] | None = None
    delta: float = 0.01
    missing: float = 0.0
    unseen: float = 0.0
    seen: bytes | None = None
    hidden: bool = False


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect of the version, measured on its holdout.

    bounded: mean bounded loss (see contract.problem); upper: end of its one-sided 95 % interval
    over days.
    similarity: of the losses of one day (intraclass correlation, cautiously), 0 to 1: n rows of a
        day tell as much as n / (1 + (n - 1) similarity) independent ones.
    calibration: points of the isotonic map from the score that is answered to the probability that
    it is right (binary: that the label is true), ascending; none for a regression.
    days: of a binary problem, what became of the scores of each day, oldest first.
    influence: how far scores move on average (binary: their logits) where a feature is shuffled.
    scores: how the scores are distributed. auc: how well a classifier tells the holdout from the
        rows that were fitted, which is how unlike two seasons of this data are anyway.
    """

    bounded: float = msgspec.field(name="brier")  # as binary problems, which came first, have it
    upper: float
    similarity: float
    calibration: list[tuple[float, float]]
    scores: FeatureProfile | None = None
    auc: float = 0.5
    days: list[Tally] = []
    influence: dict[str, float] = {}


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of the problem (lower is better) of one candidate on the holdout.

    rows: that it fitted. parameters: of its last step, and those that a search chose. searched: how
    many combinations that search tried, 0 for none. warnings: that its fit gave, by kind. earlier:
    the metric on as many days before the holdout, of a fit that ended before them; the closest
    candidates have it, and the mean of both decided between them.
    """

    candidate: str
    window_days: int | None
    rows: int
    loss: float
    twin_difference: float
    parameters: dict[str, Any] = {}
    searched: int = 0
    warnings: list[str] = []
    earlier: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A check that a version had to pass, its verdict in words, and the figures it rests on."""

    name: str
    passed: bool
    said: str
    figures: dict[str, Any] = {}


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How the version compared on the holdout, the newest slice of time that nobody fitted.

    loss: the metric of the problem, lower is better; baseline, simple: that of a constant and of a
        tree of two questions.
    improvement: of the metric over the champion, per row, with the lower end of its one-sided 95 %
        interval by block bootstrap over days; None where there was no champion, or one whose inputs
        the data no longer has. champion_scores: how that one's scores are distributed here.
    failed: candidates that could not be fitted or served, and why.
    gates: in order; the first that did not let it pass is the reason.
    """

    start: datetime
    end: datetime
    rows: int
    loss: float
    baseline: float
    simple: float | None = None
    champion: float | None = None
    improvement: float | None = None
    improvement_lower: float | None = None
    champion_scores: FeatureProfile | None = None
    candidates: list[Scores] = []
    failed: dict[str, str] = {}
    gates: list[Gate] = []

    @property
    def figures(self) -> dict[str, Any]:
        """Return what was measured, as it stands in a decision and in a run's record."""
        known: dict[str, Any] = msgspec.to_builtins(self)
        for part in ("champion_scores", "candidates", "failed", "gates"):  # which the manifest has
            del known[part]
        return {name: value for name, value in known.items() if value is not None}


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where the version came from."""

    run: str
    trigger: str
    previous: str | None
    data_sha256: str
    data_start: datetime
    data_end: datetime
    data_rows: int
    fitted_rows: int
    fitted_until: datetime
    code_sha256: str
    seed: int


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service that a version asks: where, how long it waits, and what one call costs."""

    host: str
    timeout_seconds: float
    cost_per_call: float
    currency: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One model version, as it stands beside its artifacts; written once.

    fallback: the rule that answers when this version cannot be loaded.
    kind: a scikit-learn model, a rule, or another service that is asked over HTTP. labels: how
    those that it was fitted on are distributed. external: the service, where that is the kind.
    """

    format: int = FORMAT
    endpoint: str
    version: str
    created: datetime
    candidate: str
    target: str
    schema: JsonSchema
    inputs: list[str]
    artifacts: dict[str, Artifact]
    libraries: dict[str, str]
    lineage: Lineage
    metrics: Evaluation
    reference: dict[str, FeatureProfile]
    golden: list[tuple[dict[str, Any], float | list[float]]]
    expected: Expected | None = None
    labels: FeatureProfile | None = None
    kind: VersionKind = "model"
    problem: Problem = Problem()
    fallback: str | None = None
    external: Service | None = None

    def is_refreshed_by(self, other: "Manifest") -> bool:
        """Say whether another version is of the same recipe, fitted on newer data.

        A recipe is a candidate with its parameters, and the code that it is from.
        """
        newer = self.lineage.data_end < other.lineage.data_end
        return newer and self.recipe is not None and self.recipe == other.recipe

    @property
    def recipe(self) -> tuple[str, dict[str, Any], str] | None:
        """What the version was made by: a candidate, its parameters, and the SHA-256 of the code.

        None where no candidate of ours was fitted.
        """
        own = [each for each in self.metrics.candidates if each.candidate == self.candidate]
        best = min(own, key=lambda each: each.loss, default=None)
        if best is None or self.kind != "model":
            return None
        return self.candidate, best.parameters, self.lineage.code_sha256

    @property
    def categories(self) -> dict[str, frozenset[str]]:
        """The values of each text field in the training data, where the profile has all of them."""
        return {
            name: frozenset(profile.categories) | ({""} if profile.counts[-1] else set())
            for name, profile in self.reference.items()
            if profile.categories is not None and profile.seen is None and not profile.counts[-2]
        }

    @property
    def max_rows(self) -> int:
        """How many rows a request may have so that its answer fits, whatever the scores are."""
        names = self.problem.classes
        row = {
            "id": "0" * 36,
            "label": max(names, key=payload_bytes, default=_LONGEST),
            "score": _LONGEST,
            "scores": dict.fromkeys(names, _LONGEST),
            "unseen": list(self.categories),
        }
        return min(MAX_ROWS, ANSWER_BYTES // payload_bytes(msgspec.json.encode(row).decode()))

    def unavailable(self, reason: str) -> ModelUnavailableError:
        """Return the error that says why this version cannot be loaded."""
        return ModelUnavailableError(self.endpoint, self.version, reason)

    @property
    def hidden(self) -> frozenset[str]:
        """The sensitive fields, of which no value is shown."""
        return frozenset(name for name, profile in self.reference.items() if profile.hidden)


def version_id(created: datetime, *parts: str) -> str:
    """Return the id of a version: its time in UTC, and a hash of what it was made from.

    >>> version_id(datetime(2013, 2, 1, tzinfo=UTC), "data", "code")[:17]
    '20130201T000000Z-'
    """
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest}"


def version_time(version: str) -> datetime:
    """Return the time in the id of a version.

    >>> version_time("20130201T000000Z-0123abcd")
    datetime.datetime(2013, 2, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%M%S%z")
