"""What asks a version that is another service: one POST for each request, and never a second.

    POST {url}   {"instances": [{...}, ...]}   ->   {"scores": [...]}

A score is the probability that the label is true, the number, or for multiclass an object with the
probability of each class. Nothing is asked when a version is loaded, as the service may be down.
"""

import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import urllib3

from evergreen.aws import deadline, place
from evergreen.contract.decoding import MAX_ROWS
from evergreen.contract.errors import ExternalError, worded
from evergreen.contract.problem import Floats, Problem
from evergreen.contract.rule_file import RuleFile, scorer_of
from evergreen.contract.schema import Columns, Score
from evergreen.registry.manifest import Manifest, Service

MAX_BYTES = 4_000_000  # of an answer to MAX_ROWS rows
MAX_TIMEOUT_SECONDS = 5.0  # predict has ten
FAILURES = 5  # in a row, after which a service is left in peace
REST_SECONDS = 30.0
TOKEN = re.compile(r"EXTERNAL_[A-Z0-9_]+")  # so that no version can ask for Lambda's credentials
_FAILURES = (ExternalError, urllib3.exceptions.HTTPError, OSError, ValueError, RecursionError)
LOCAL = ("127.0.0.1", "localhost")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is asked; token_variable: the environment variable with its bearer token."""

    url: str
    timeout_seconds: float
    token_variable: str | None
    cost_per_call: float
    currency: str

    def service(self) -> Service:
        """Return what a manifest says of it. Raises ValueError where it may not be asked."""
        found = urllib3.util.parse_url(self.url)
        host, seconds, cost = found.host or "", self.timeout_seconds, self.cost_per_call
        if found.scheme != "https" and not (found.scheme == "http" and host in LOCAL):
            raise ValueError(f"{self.url!r} must begin with https:// (http:// only for 127.0.0.1)")
        if place.in_an_account() and _is_near(host):
            raise ValueError(f"{self.url!r} is of the machine that asks, where no service may be")
        if not host or found.auth:
            raise ValueError("a url needs a host and no password: see token_variable")
        if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
            raise ValueError(f"timeout_seconds must be over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
        if not 0 <= cost < float("inf"):
            raise ValueError("cost_per_call must be a number that is not negative")
        if self.token_variable is not None and not TOKEN.fullmatch(self.token_variable):
            raise ValueError(f"token_variable {self.token_variable!r} must begin with EXTERNAL_")
        about = {"timeout_seconds": seconds, "cost_per_call": cost}
        return Service(host=host, currency=self.currency, **about)


def _is_near(host: str) -> bool:
    """Return whether a host is this machine's own or link-local address, however it is written."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = ip_address(socket.inet_aton(name))  # 2130706433, 0x7f.1
        except OSError:
            return name == "localhost" or name.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_link_local or address.is_unspecified


class ExternalFile(Asked, frozen=True, kw_only=True):
    """The artifact external.json; rule: what answers while the service does not."""

    rule: RuleFile


def check(manifest: Manifest) -> None:
    """Do nothing: a service does not depend on the version of any library."""


def scorer(body: bytes, inputs: Sequence[str]) -> Score:
    """Return what asks the service in `body`; it raises ExternalError where that fails."""
    found = msgspec.json.decode(body, type=ExternalFile)
    found.service()
    return Client(found, list(inputs))


def instead(body: bytes) -> Score:
    """Return what scores while the service in `body` does not: its rule."""
    return scorer_of(msgspec.json.decode(body, type=ExternalFile).rule)


class _AnswerError(ValueError):
    """A service answered with what cannot be scores, said in words that quote nothing of it."""


class _Plain(msgspec.Struct):
    scores: list[float]


class _ByClass(msgspec.Struct):
    scores: list[dict[str, float]]


@dataclass
class Client:
    """A service, and how often in a row it has failed this process."""

    file: ExternalFile
    inputs: list[str]
    limit: float = float("inf")  # how often it may be asked in all
    calls: int = 0
    _failures: int = 0
    _rests_until: float = 0.0
    _pool: Any = field(default_factory=lambda: _pool())

    def __call__(self, columns: Columns) -> Floats:
        """Return the service's scores, asked for in batches of MAX_ROWS rows."""
        rows = _rows({name: columns[name] for name in self.inputs})
        batches = [rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS)]
        return np.concatenate([self._guarded(batch) for batch in batches])

    def _guarded(self, rows: list[dict[str, Any]]) -> Floats:
        """Ask unless it failed FAILURES times in a row; every REST_SECONDS one request tries."""
        if time.monotonic() < self._rests_until:
            raise ExternalError(self.file.url, f"it failed {self._failures} times in a row")
        if self.calls >= self.limit:
            raise ExternalError(self.file.url, f"it has been asked {self.calls} times already")
        seconds = min(self.file.timeout_seconds, deadline.left())
        if seconds <= 0:
            raise ExternalError(self.file.url, "no time is left to ask it")
        try:
            scores = self._asked(rows, seconds)
        except _FAILURES as error:
            self._failures += 1
            if self._failures >= FAILURES:
                self._rests_until = time.monotonic() + REST_SECONDS
            if isinstance(error, ExternalError):
                raise
            reason = str(error) if isinstance(error, _AnswerError) else worded(error)
            raise ExternalError(self.file.url, reason, asked=True) from error
        self._failures = 0
        return scores

    def _asked(self, rows: list[dict[str, Any]], seconds: float) -> Floats:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if self.file.token_variable:
            token = os.environ.get(self.file.token_variable)
            if not token:
                raise ExternalError(self.file.url, f"{self.file.token_variable} is not set")
            headers["authorization"] = f"Bearer {token}"
        self.calls += 1
        with deadline.until(time.monotonic() + seconds):
            response = self._pool.request(
                "POST",
                self.file.url,
                body=msgspec.json.encode({"instances": rows}),
                headers=headers,
                timeout=urllib3.Timeout(total=seconds),
                retries=False,  # which also leaves redirects alone
                preload_content=False,
            )
            try:
                body = self._body(response)
            except BaseException:
                response.close()  # the rest of it must not be taken for the next answer
                raise
        response.release_conn()
        return _scores(body, self.file.rule.problem, len(rows))

    def _body(self, response: Any) -> bytes:
        if response.status != 200:
            raise _AnswerError(f"it answered {response.status}")
        parts: list[bytes] = []
        size = 0
        while part := response.read1(65_536, decode_content=False):
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES:
                raise _AnswerError(f"its answer is longer than {MAX_BYTES:,} bytes")
        return b"".join(parts)


class _HttpConnection(urllib3.connection.HTTPConnection):
    response_class = deadline.Response

    def _new_conn(self) -> socket.socket:
        """Connect to an address of the host; urllib3 would give each of them the whole time."""
        host, error = self._dns_host, urllib3.exceptions.HTTPError("it has no address")
        found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        for number, (*_, address) in enumerate(found):
            self._dns_host = str(address[0])
            self.timeout = max(deadline.left(), 0.0) / (len(found) - number) or 1e-3
            try:
                return super()._new_conn()
            except urllib3.exceptions.HTTPError as failed:
                error = failed
            finally:
                self._dns_host = host
        raise error


class _HttpsConnection(_HttpConnection, urllib3.connection.HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _pool() -> urllib3.PoolManager:
    pool = urllib3.PoolManager(maxsize=1)
    pool.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pool


def _scores(body: bytes, problem: Problem, rows: int) -> Floats:
    kind: Any = _ByClass if problem.kind == "multiclass" else _Plain
    found = msgspec.json.decode(body, type=kind).scores
    if len(found) != rows:
        raise _AnswerError(f"it has {len(found)} scores for {rows} rows")
    if problem.kind == "multiclass":
        if unknown := {name for row in found for name in row} - set(problem.classes):
            raise _AnswerError(f"it knows {len(unknown)} classes that we do not")
        found = [[row.get(name, 0.0) for name in problem.classes] for row in found]
    scores = np.array(found, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise _AnswerError("it has a score that is not a finite number")
    if problem.kind != "regression" and not ((scores >= 0) & (scores <= 1)).all():
        raise _AnswerError("it has a score that is no probability")
    return scores


def _rows(columns: Columns) -> list[dict[str, Any]]:
    """Return plain rows: the shortest number that is the same float32, and null where missing."""
    plain = {name: _values(column) for name, column in columns.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def _values(column: npt.NDArray[Any]) -> list[Any]:
    if column.dtype == object:
        return [value or None for value in column]
    return [_number(text) for text in column.astype(str).tolist()]


def _number(text: str) -> float | int | None:
    number = float(text)
    if number != number:
        return None
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
