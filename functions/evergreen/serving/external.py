"""A service of somebody else as a candidate: asked over HTTP, with a rule for when it is away."""

from typing import Any

import msgspec
import numpy.typing as npt

from evergreen.contract.errors import CandidateError, ExternalError
from evergreen.contract.problem import Floats
from evergreen.contract.rule import Rule
from evergreen.contract.schema import Columns
from evergreen.registry.manifest import Service
from evergreen.serving.runtime_external import Asked, Client, ExternalFile

MAX_CALLS = 200  # of one training, to score its holdout and what is written down of the version


class External:
    """A candidate of which nothing is fitted but the rule that stands in for it.

    url: https, or http to 127.0.0.1.
    timeout_seconds: how long its answer may take, more than 0 and at most 5.
    cost_per_call: in `currency`, of each request with up to 1,000 rows; at least 0.
    rule: what answers in its place; None is the constant, `Rule()`.
    token_variable: the environment variable, EXTERNAL_..., with a bearer token; None sends none.

    Raises ValueError for what may not be asked.

    >>> from evergreen import External
    >>> External(url="https://scores.example.com/flights", cost_per_call=0.002).service().host
    'scores.example.com'
    """

    kind = "external"

    def __init__(
        self, *, url: str, timeout_seconds: float = 1.0, cost_per_call: float = 0.0,
        currency: str = "USD", rule: Rule | None = None, token_variable: str | None = None,
    ) -> None:  # fmt: skip
        self.asked = Asked(
            url=url, timeout_seconds=timeout_seconds, token_variable=token_variable,
            cost_per_call=cost_per_call, currency=currency,
        )  # fmt: skip
        self.rule = rule or Rule()
        self._client: Client | None = None
        self.service()

    def service(self) -> Service:
        """Return what the manifest says of it."""
        return self.asked.service()

    def fit(self, frame: Any, labels: npt.NDArray[Any]) -> "External":
        """Fit the rule."""
        self.rule.fit(frame, labels)
        self._client = Client(self._file(), list(frame.columns), limit=MAX_CALLS)
        return self

    def scores(self, columns: Columns) -> Floats:
        """Return the scores of columns: (rows,), or (rows, classes) for multiclass.

        Raises CandidateError where the service fails, or has been asked MAX_CALLS times.
        """
        if self._client is None:
            raise CandidateError("it has not been fitted: its rule is not known yet")
        try:
            return self._client(columns)
        except ExternalError as error:
            raise CandidateError(str(error)) from error

    def artifact(self) -> bytes:
        """Return what runtime_external reads."""
        return msgspec.json.format(msgspec.json.encode(self._file()), indent=2)

    def _file(self) -> ExternalFile:
        return ExternalFile(rule=self.rule.file, **msgspec.structs.asdict(self.asked))
