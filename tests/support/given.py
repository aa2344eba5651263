"""What tests start from: a small table of flights, rows, captures, documents and faults of AWS."""

import dataclasses
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pandas as pd
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.captures.examples import Examples, moment
from evergreen.captures.records import Capture, Label
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.problem import Answer, Kind, array
from evergreen.contract.schema import JsonSchema, columns_of
from evergreen.pages import model_card
from evergreen.registry import transitions
from evergreen.registry.state import Document
from evergreen.registry.transitions import Change
from evergreen.serving.model import Model
from evergreen.training import train_version
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained

NAME = "flight-delay"
START = datetime(2013, 1, 1, tzinfo=UTC)
NOW = datetime(2013, 2, 1, 12, tzinfo=UTC)  # an hour after the newest row of `table()`
WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def table(
    rows: int = 900, *, days: int = 31, seed: int = 0, start: datetime = START
) -> pd.DataFrame:
    """Return flights as a user would upload them; late ones are those of the evening and of EV."""
    random = np.random.default_rng(seed)
    hour = random.integers(5, 23, rows)
    carrier = random.choice(["UA", "AA", "EV"], rows)
    offset = np.sort(random.uniform(0, days * 24, rows)).astype(int)
    logit = -1.5 + 0.25 * (hour - 12) + 1.0 * (carrier == "EV")
    late = random.uniform(size=rows) < 1 / (1 + np.exp(-logit))
    columns: dict[str, Any] = {
        "carrier": carrier,
        "origin": random.choice(["EWR", "JFK", "LGA"], rows),
        "dest": random.choice(["IAH", "ORD", "MIA", "BOS"], rows),
        "weekday": offset // 24 % 7,
        "hour": hour,
        "distance": random.integers(200, 2500, rows).astype(float),
        "temp": random.normal(40, 8, rows).clip(0, 90),
        "dewp": random.normal(25, 8, rows).clip(-20, 80),
        "humid": random.uniform(20, 100, rows),
        "wind_speed": random.gamma(4, 2.5, rows),
        "wind_gust": np.where(random.uniform(size=rows) < 0.7, np.nan, random.gamma(9, 3, rows)),
        "precip": np.where(random.uniform(size=rows) < 0.9, 0.0, 0.1),
        "pressure": random.normal(1015, 6, rows),
        "visib": np.minimum(10, random.gamma(20, 1, rows)),
        "arr_delay": np.where(late, 30.0, -5.0),
        "time_hour": [f"{start + timedelta(hours=int(h)):%Y-%m-%dT%H:%M:%SZ}" for h in offset],
    }
    return pd.DataFrame(columns)


SCHEMA_OF_TWO = {"properties": {"x": {"type": "number"}, "t": {"type": "string"}}}


def two_columns(x: Any, t: Any = None, days: int = 6) -> Examples:
    """Return examples with a number `x` and a text `t`, evenly spread over days."""
    rows = len(x)
    hours = np.linspace(0, days * 24, rows, endpoint=False).astype(int)
    return Examples(
        {
            "x": np.asarray(x, dtype=np.float32),
            "t": np.array(["a"] * rows if t is None else t, dtype=object),
        },
        np.zeros(rows, dtype=bool),
        np.datetime64("2013-01-01", "us") + hours.astype("timedelta64[h]"),
    )


def upload(data: Store) -> None:
    """Put `table()` where training data belongs."""
    data.put(f"training/{NAME}/2013-01.csv", csv(table()))


def features(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of flights as they would be captured."""
    found = table[list(flight_delay.Flight.__struct_fields__)]
    rows = found.astype(object).where(found.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def csv(data: pd.DataFrame) -> bytes:
    """Return a table as the bytes of a CSV file."""
    return data.to_csv(index=False).encode()


def row(**values: Any) -> dict[str, Any]:
    """Return a request row that is valid, apart from what `values` changes."""
    plain = {
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "weekday": 1,
        "hour": 7,
        "distance": 1400.0,
    }
    return {**plain, **values}


def whole(**values: Any) -> dict[str, Any]:
    """Return a row as it is captured: with all of its fields."""
    return row(**{**dict.fromkeys(WEATHER), **values})


def body(*rows: dict[str, Any], **more: Any) -> bytes:
    """Return the body of a predict request."""
    return json.dumps({"instances": rows or [row()], **more}).encode()


def quick(
    endpoint: Endpoint = flight_delay.endpoint, *, strength: float = 1.0, **policy: Any
) -> Endpoint:
    """Return an endpoint that trains in a fraction of a second, on a few hundred rows."""

    def candidates(_: int) -> dict[str, Any]:
        numbers = make_pipeline(SimpleImputer(), StandardScaler())
        columns = make_column_transformer(
            (numbers, flight_delay.NUMBERS),
            (OneHotEncoder(handle_unknown="ignore"), flight_delay.TEXT),
        )
        return {"logistic-regression": make_pipeline(columns, LogisticRegression(C=strength))}

    policy = {
        "min_rows": 100,
        "windows_days": (None,),
        "margin": 0.05,
        "holdout_days": 7,
        "cooldown_days": 7,
        **policy,
    }
    return dataclasses.replace(
        endpoint,
        candidates=candidates,
        search={},
        policy=dataclasses.replace(endpoint.policy, **policy),
    )


def version(number: int) -> str:
    """Return the id of the version of a day."""
    return f"201302{number:02d}T000000Z-{number:08x}"


def document(champion: str = version(1), after: Document | None = None, **more: Any) -> Document:
    """Return the first document of an endpoint, or the one in which `champion` comes after."""
    time = more.pop("time", NOW)
    change = Change(
        type="promoted", version=champion, by=more.pop("by", "a run"), reason="better", **more
    )
    if after is None:
        return transitions.first(NAME, change, time)
    return transitions.apply(after, change, time, after.generation)


def prediction_id(number: int) -> str:
    """Return an id as predict makes them."""
    return f"{number:032x}-000"


def capture(number: int, time: datetime = START, **more: Any) -> Capture:
    """Return a recorded prediction."""
    return Capture(
        id=prediction_id(number),
        time=time,
        endpoint=more.pop("endpoint", NAME),
        version=version(1),
        variant=more.pop("variant", "champion"),
        features=more.pop("features", None) or whole(),
        label=False,
        score=0.25,
        **more,
    )


def label(number: int, value: Answer = True, time: datetime = START, endpoint: str = NAME) -> Label:
    """Return an outcome."""
    return Label(id=prediction_id(number), time=time, endpoint=endpoint, label=value)


def deliver(
    data: Store,
    records: Iterable[Capture | Label],
    at: datetime,
    name: str = "a",
    zipped: bool = True,
) -> None:
    """Put records where Firehose would put them at a time."""
    found = list(records)
    kind = "captures" if isinstance(found[0], Capture) else "labels"
    lines = msgspec.json.Encoder().encode_lines(found)
    data.put(f"{kind}/{at:%Y/%m/%d/%H}/{name}.jsonl.gz", gzip.compress(lines) if zipped else lines)


def metrics(log: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines of a function's log that are metrics."""
    return [json.loads(line) for line in log.getvalue().splitlines() if '"_aws"' in line]


@dataclass(frozen=True)
class Bomb:
    """What makes a file when it is unpickled."""

    file: Path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)

    def pickled(self) -> bytes:
        """Return its bytes, after showing that they would go off."""
        buffer = io.BytesIO()
        joblib.dump(self, buffer)
        buffer.seek(0)
        joblib.load(buffer)
        self.file.unlink()
        return buffer.getvalue()


@dataclass(eq=False)
class Fault:
    """A failure of AWS: an answer with an error, or an error without an answer.

    happens: whether the request took effect all the same, so that only its answer was lost.
    first: how many requests are let through before. times: how many fail then.
    meanwhile: what somebody else does between the effect and the answer.
    """

    status: int = 500
    code: str = "InternalError"
    happens: bool = False
    first: int = 0
    times: int = 1
    error: BaseException | None = None
    key: str = ""
    meanwhile: Callable[[], None] = lambda: None
    hit: int = field(default=0, init=False)

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if self.key not in request.url:
            return None
        if self.first:
            self.first -= 1
            return None
        if self.hit >= self.times:
            return None
        self.hit += 1
        if self.happens:
            botocore_stubber(event_name, request)
        self.meanwhile()
        if self.error:
            raise self.error
        botocore_stubber.enabled = False  # or moto, whose hook comes next, would do it all the same
        text = f"<Error><Code>{self.code}</Code><Message>injected</Message></Error>"
        return AWSResponse(request.url, self.status, HTTPHeaders(), MockRawResponse(text))


@contextmanager
def injected(client: Any, operation: str, fault: Fault) -> Iterator[Fault]:
    """Make an operation of a client, such as `s3.PutObject`, fail."""

    def resume(**_: Any) -> None:
        botocore_stubber.enabled = True

    client.meta.events.register_first(f"before-send.{operation}", fault)
    client.meta.events.register_last("before-send", resume)
    try:
        yield fault
    finally:
        client.meta.events.unregister(f"before-send.{operation}", fault)
        client.meta.events.unregister("before-send", resume)


def train(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    examples: Examples | None,
    champion: Model | None,
) -> Trained:
    """Train a version as the function does, with its card."""
    found: Trained = train_version.train(request, endpoint, schema, examples, champion)
    return found.with_card(model_card.page(found.manifest, found.best, endpoint, found.slices))


def from_rows(
    schema: JsonSchema,
    rows: Sequence[dict[str, Any]],
    labels: Sequence[Answer],
    times: Sequence[datetime],
    kind: Kind = "binary",
) -> Examples:
    """Return examples from plain rows that have been validated."""
    return Examples(columns_of(schema, rows), array(kind, labels), np.array([*map(moment, times)]))
