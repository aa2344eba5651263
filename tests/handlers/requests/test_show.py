"""What the registry shows of itself: endpoints, versions and their pages."""

import json
import threading

import msgspec
import pytest
import yaml

from evergreen.aws import deadline
from evergreen.aws.s3 import Store
from evergreen.registry.registry import fingerprint
from evergreen.serving.model import REPORT
from evergreen.training.train_version import Trained
from http_api import dispatch
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.handlers.requests.test_predict import write
from tests.support import arms, given
from tests.support.given import NAME, version
from tests.support.registries import registry_of


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    return write(registry_of(artifacts), trained, version(1), promoted=True)


def get(plane: Plane, path: str) -> Answer:
    return plane.request("GET", path)


def test_the_endpoints_and_their_champions_are_listed(plane: Plane, champion: str) -> None:
    (found,) = get(plane, "/endpoints").json()["endpoints"]

    assert (found["endpoint"], found["champion"]) == (NAME, champion)


def test_endpoints_come_in_pages_that_hold_each_once(plane: Plane, artifacts: Store) -> None:
    names = [f"{NAME}-{number}" for number in range(5)]
    for name in names:
        document = msgspec.structs.replace(given.document(version(1)), endpoint=name)
        registry_of(artifacts).write_document(document, None)

    found, pages, query = [], 0, "limit=2"
    while query:
        page = get(plane, f"/endpoints?{query}").json()
        found += [one["endpoint"] for one in page["endpoints"]]
        pages += 1
        query = f"limit=2&next={page['next']}" if page["next"] else ""

    assert (found, pages) == (names, 3)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "next=../x", "next="])
def test_a_page_that_there_cannot_be_is_refused(plane: Plane, query: str) -> None:
    answer = get(plane, f"/endpoints?{query}")

    (fault,) = answer.json()["error"]["faults"]
    assert (answer.status, fault["path"]) == (400, f"?{query.partition('=')[0]}")


def test_endpoints_are_read_several_at_once_and_by_the_deadline_of_the_request() -> None:
    both, ends = threading.Barrier(2, timeout=10), []

    def read(name: str) -> str:
        both.wait()
        ends.append(deadline.end())
        return name

    with deadline.until(7.0):
        found = dispatch.each(read, ["one", "two"])

    assert (found, ends) == (["one", "two"], [7.0, 7.0])


def test_without_a_promotion_no_endpoint_is_listed(plane: Plane) -> None:
    assert get(plane, "/endpoints").json() == {"endpoints": [], "next": None}


def test_an_endpoint_shows_its_champion_metrics_schema_and_history(
    plane: Plane, champion: str, artifacts: Store, trained: Trained
) -> None:
    write(registry_of(artifacts), trained, version(2), promoted=True)

    shown = get(plane, f"/endpoints/{NAME}").json()

    assert (shown["champion"], shown["generation"]) == (version(2), 2)
    assert shown["metrics"]["loss"] == trained.manifest.metrics.loss
    assert shown["lineage"]["data_sha256"] == trained.manifest.lineage.data_sha256
    assert shown["schema"] == trained.manifest.schema
    assert [line["version"] for line in shown["history"]] == [champion, version(2)]


def test_versions_are_listed_oldest_first_and_each_can_be_shown(
    plane: Plane, champion: str, artifacts: Store, trained: Trained
) -> None:
    write(registry_of(artifacts), trained, version(2))

    assert get(plane, f"/endpoints/{NAME}/versions").json()["versions"] == [
        {"version": champion, "status": "champion", "kind": "model"},
        {"version": version(2), "status": None, "kind": "model"},
    ]
    shown = get(plane, f"/endpoints/{NAME}/versions/{version(2)}").json()
    assert shown["version"] == version(2)
    assert shown["candidate"] == "logistic-regression"
    assert not {"reference", "golden"} & set(shown)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/endpoints/other", 404),
        ("/endpoints/other/versions", 404),
        (f"/endpoints/other/versions/{version(1)}", 404),
        (f"/endpoints/{NAME}/versions/{version(1)}", 404),
        (f"/endpoints/{NAME}/versions/latest", 404),
        (f"/endpoints/{NAME}", 503),
        (f"/endpoints/{NAME}/versions", 200),
        ("/", 404),
        ("/endpoints/x/y/z/more", 404),
    ],
)
def test_what_is_not_there_is_said_with_its_status(plane: Plane, path: str, status: int) -> None:
    answer = get(plane, path)

    assert answer.status == status
    assert json.loads(answer.body)


def test_an_endpoint_shows_who_else_is_in_play(
    plane: Plane, champion: str, artifacts: Store, trained: Trained
) -> None:
    registry = registry_of(artifacts)
    arms.canary(registry, version(2), 0.25)
    arms.change(registry, paused="a holiday", fallback=version(9))

    shown = get(plane, f"/endpoints/{NAME}").json()

    assert shown["statuses"] == {champion: "champion"}
    assert (shown["challenger"]["version"], shown["challenger"]["share"]) == (version(2), 0.25)
    assert (shown["experiment"], shown["fallback"]) == (None, version(9))
    assert shown["paused"] == "a holiday"
    (listed,) = get(plane, "/endpoints").json()["endpoints"]
    assert {name: shown[name] for name in listed} == listed


def test_a_corrupt_document_hides_no_other_endpoint(
    plane: Plane, champion: str, artifacts: Store
) -> None:
    artifacts.put("endpoints/another.json", b"{")

    answer = get(plane, "/endpoints")

    assert answer.status == 200
    corrupt, sound = answer.json()["endpoints"]
    assert sound["champion"] == champion
    assert (corrupt["endpoint"], corrupt["error"]["code"]) == ("another", "corrupt_document")
    assert "endpoints/another.json" in corrupt["error"]["message"]


@pytest.fixture
def several(plane: Plane, champion: str, artifacts: Store, trained: Trained) -> None:
    """Let there be a rule, a service, and a version whose writer crashed before its manifest."""
    registry = registry_of(artifacts)
    arms.write_external(registry, trained, "127.0.0.1:9", version(2))
    arms.write_rule(registry, trained, version(3))
    artifacts.put(f"models/{NAME}/{version(4)}/model.onnx", b"and no manifest")
    arms.change(registry, statuses={champion: "champion", version(2): "candidate"})


def test_each_version_is_listed_with_its_kind_and_status(
    plane: Plane, several: None, champion: str
) -> None:
    found = get(plane, f"/endpoints/{NAME}/versions").json()["versions"]

    assert [(line["version"], line["status"], line["kind"]) for line in found] == [
        (champion, "champion", "model"),
        (version(2), "candidate", "external"),
        (version(3), None, "rule"),
    ]


@pytest.mark.parametrize(
    ("status", "found"), [("champion", [1]), ("candidate", [2]), ("canary", []), ("rejected", [])]
)
def test_versions_can_be_listed_by_status(
    plane: Plane, several: None, status: str, found: list[int]
) -> None:
    answer = get(plane, f"/endpoints/{NAME}/versions?status={status}").json()

    assert [line["version"] for line in answer["versions"]] == [version(n) for n in found]


@pytest.mark.parametrize("query", ["status=none", "status=", "statsu=champion"])
def test_another_filter_is_refused(plane: Plane, champion: str, query: str) -> None:
    assert get(plane, f"/endpoints/{NAME}/versions?{query}").status == 400


# The page of a version


def with_report(artifacts: Store, trained: Trained, name: str, page: bytes) -> str:
    files = {REPORT: page}
    manifest = msgspec.structs.replace(
        trained.manifest, version=name, artifacts={REPORT: fingerprint(page)}
    )
    registry_of(artifacts).write_version(manifest, files)
    return f"/endpoints/{NAME}/versions/{name}/report"


def test_the_page_of_a_version_is_shown_and_may_load_and_run_nothing(
    plane: Plane, artifacts: Store, trained: Trained
) -> None:
    page = "<!doctype html><p>Größe</p>"

    answer = get(plane, with_report(artifacts, trained, version(2), page.encode()))

    assert (answer.status, answer.body) == (200, page)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert not any("script" in part for part in policy)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_that_is_not_what_was_written_is_not_shown(
    plane: Plane, artifacts: Store, trained: Trained
) -> None:
    path = with_report(artifacts, trained, version(2), b"<p>sound</p>")
    artifacts.put(f"models/{NAME}/{version(2)}/{REPORT}", b"<script>evil</script>")

    answer = get(plane, path)

    assert answer.status == 503
    assert "script" not in answer.body


@pytest.mark.parametrize(
    ("name", "code"),
    [(version(1), "no_report"), (version(8), "unknown_version"), ("latest", "unknown_version")],
)
def test_a_page_that_is_not_there_is_not_found(
    plane: Plane, artifacts: Store, trained: Trained, name: str, code: str
) -> None:
    arms.write_rule(registry_of(artifacts), trained, version(1))

    answer = get(plane, f"/endpoints/{NAME}/versions/{name}/report")

    assert answer.status == 404
    assert answer.json()["error"]["code"] == code


def test_a_model_card_is_yaml_that_machines_read_and_words(
    plane: Plane, champion: str, trained: Trained
) -> None:
    answer = plane.request("GET", f"/endpoints/{NAME}/versions/{champion}/card")

    _, front, text = answer.body.split("---\n", 2)
    found = yaml.safe_load(front)
    (model,) = found["model-index"]
    (result,) = model["results"]
    loss = trained.manifest.metrics.loss
    assert answer.headers["content-type"].startswith("text/markdown")
    assert found["pipeline_tag"] == result["task"]["type"] == "tabular-classification"
    assert result["metrics"][0] == {"type": "log_loss", "name": "log-loss", "value": loss}
    assert f"# {NAME} {champion}" in text
    assert f"{loss:.4g}" in text
