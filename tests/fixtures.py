"""Fixtures of all tests: AWS as moto plays it, one small trained version, the plane, a clock."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from http.server import ThreadingHTTPServer
from importlib import import_module
from typing import IO, Any, cast

import boto3
import pytest
import time_machine
from botocore import endpoint_provider
from botocore.session import Session
from hypothesis import settings

import bootstrap as clients
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.captures.examples import from_table
from evergreen.contract import endpoint_files
from evergreen.contract.schema import JsonSchema, schema_of
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.training import train_version
from evergreen.training.fitting import Request
from local import serve
from local.cloud.permissions import check_refused
from local.cloud.resources import EVERYTHING, inbox, started
from local.cloud.shortcuts import taken
from local.demo.by_hand import ByHand
from local.demo.replay import Replay
from local.plane.plane import Plane
from local.plane.process import _OUTPUT
from local.template import Template, load, physical_name
from tests.support import candidates, cloud, given, traffic
from tests.support.registries import registry_of
from tests.support.servers import running

settings.register_profile("suite", derandomize=True, deadline=None, database=None, max_examples=100)
settings.load_profile("suite")

with redirect_stdout(cast(IO[str], _OUTPUT)):  # whichever test is the first to import a handler
    import_module("evergreen.aws.telemetry")


@pytest.fixture(scope="session")
def template() -> Template:
    return load()


@cache
def session() -> Session:
    """Return one session for all tests: each new one reads the descriptions of services again."""
    return Session()


@cache
def client_of(service: str) -> Any:
    return session().create_client(service)


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Play AWS with nothing in it; nobody waits between two attempts."""
    with started():
        monkeypatch.setattr(boto3, "client", client_of)
        monkeypatch.setattr(clients, "_session", session)
        monkeypatch.setattr(endpoint_provider, "RuleSet", cloud.rule_set)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        _forget_clients()
        yield
        _forget_clients()


@pytest.fixture
def aws(moto: None, template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play AWS with the template's resources; what moto needs on a busy machine is no outage."""
    monkeypatch.setattr("http_api.dispatch.RESERVE_SECONDS", -600.0)
    cloud.lay_out(template)


@pytest.fixture
def bucket(moto: None) -> Store:
    """Play S3 with one versioned bucket."""
    s3 = clients.s3()
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    return Store(s3, "bucket")


def _forget_clients() -> None:
    for made in (clients.s3, clients.firehose, clients.events, clients.kms, clients._seal):
        made.cache_clear()


@pytest.fixture
def registry(bucket: Store) -> Registry:
    return registry_of(bucket)


@pytest.fixture
def artifacts(aws: None) -> Store:
    return Store(clients.s3(), physical_name("ArtifactBucket"))


@pytest.fixture
def data(aws: None) -> Store:
    return Store(clients.s3(), physical_name("DataBucket"))


@pytest.fixture(scope="session")
def schema() -> JsonSchema:
    return schema_of(given.NAME, flight_delay.Flight)


@pytest.fixture(scope="session")
def trained(schema: JsonSchema) -> train_version.Trained:
    """Train one version of flight-delay, for all who need some version."""
    endpoint = given.quick()
    examples = from_table(schema, endpoint.examples(given.table()))
    request = Request(given.NAME, "a run", "manual", given.NOW, 0, "code")
    found: train_version.Trained = given.train(request, endpoint, schema, examples, None)
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let handlers train flight-delay on few rows and in little time."""
    monkeypatch.setattr(flight_delay, "endpoint", given.quick())
    assert endpoint_files.load(given.NAME).policy.min_rows == 100


@pytest.fixture(scope="session")
def trainings() -> dict[str, train_version.Trained]:
    return {}


@pytest.fixture
def remembered(
    quick: None, trainings: dict[str, train_version.Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train the same thing once: the same request gives the same version, and it takes a while."""
    train = train_version.train

    def remember(request, endpoint, schema, examples, champion, *tell):  # type: ignore[no-untyped-def]
        data, best = examples and examples.sha256(), champion and champion.manifest.version
        asked = endpoint.policy, endpoint.search, endpoint.candidates(request.seed)
        key = f"{replace(request, until=0)} {data} {best} {asked}"
        if key not in trainings:
            trainings[key] = train(request, endpoint, schema, examples, champion, *tell)
        return trainings[key]

    monkeypatch.setattr(train_version, "train", remember)


@pytest.fixture
def shortcuts(moto: None) -> Iterator[None]:
    """Take short ways into moto, for tests that make calls by the hundred and break none."""
    with taken():
        yield


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stop the clock at given.NOW."""
    with time_machine.travel(given.NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def plane(clock: time_machine.Traveller, aws: None, template: Template) -> Iterator[Plane]:
    """Return the deployment; its functions may do nothing that their roles do not allow."""
    found = Plane(template)
    yield found
    check_refused(found.roles)


@pytest.fixture
def announced(aws: None) -> Callable[[], list[tuple[str, dict[str, Any]]]]:
    """Return a function that returns the events that came to the bus since its last call."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=inbox(EVERYTHING))["QueueUrl"]

    def read() -> list[tuple[str, dict[str, Any]]]:
        found = []
        while messages := sqs.receive_message(QueueUrl=url).get("Messages"):
            event = json.loads(messages[0]["Body"])
            found.append((event["detail-type"], event["detail"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
        return found

    return read


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: train_version.Trained) -> Manifest:
    """Return the champion of the deployment, candidates.ONE."""
    one = candidates.ONE
    return cloud.written(artifacts, one, lambda: traffic.promoted(artifacts, trained, one))


@pytest.fixture
def candidate(champion: Manifest, artifacts: Store, trained: train_version.Trained) -> Manifest:
    """Return the candidate beside it, candidates.TWO."""
    two, registry = candidates.TWO, registry_of(artifacts)
    return cloud.written(artifacts, two, lambda: candidates.entered(registry, trained, two))


@pytest.fixture
def by_hand(plane: Plane, clock: time_machine.Traveller) -> ByHand:
    """Return the life of the deployment, whose clock a person moves."""
    return ByHand(Replay(plane, clock, given.NAME, 3), iter(()), lambda _: None)


@pytest.fixture
def url(plane: Plane, by_hand: ByHand) -> Iterator[str]:
    """Serve the deployment as `make serve` does, and return its address."""
    server = ThreadingHTTPServer((serve.HOST, 0), serve.handler_of(plane, by_hand))
    with running(server) as port:
        yield f"http://{serve.HOST}:{port}"
