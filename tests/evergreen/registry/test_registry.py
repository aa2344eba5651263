"""Versions that are written once, a document under compare-and-set, runs that are claimed once."""

from datetime import timedelta

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.contract.errors import (
    CorruptArtifactError,
    CorruptDocumentError,
    DocumentChangedError,
    EvergreenError,
    ModelUnavailableError,
    OldDocumentError,
)
from evergreen.registry import run_claims, transitions
from evergreen.registry.registry import Registry, Seen, fingerprint
from evergreen.registry.run_claims import Run
from evergreen.registry.transitions import Change
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.given import NAME, Fault, injected

LOST = [
    pytest.param(Fault(500, happens=True), id="500"),
    pytest.param(Fault(409, "ConditionalRequestConflict", happens=True), id="409"),
    pytest.param(Fault(412, "PreconditionFailed", happens=True), id="412"),
    pytest.param(
        Fault(error=EndpointConnectionError(endpoint_url="s3"), happens=True, times=9),
        id="no answer to any attempt",
    ),
]


def seen(registry: Registry) -> Seen:
    found = registry.document(NAME)
    assert found is not None
    return found


def run(name: str = "slot", **more: object) -> Run:
    plain = Run(run=name, owner="first", trigger="schedule", at=given.NOW, started=given.NOW)
    return msgspec.structs.replace(plain, **more)


# Documents


def test_an_endpoint_without_a_promotion_has_no_document(registry: Registry) -> None:
    assert registry.document(NAME) is None
    assert registry.endpoints() == []


def test_a_written_document_is_read_back_the_same(registry: Registry) -> None:
    document = given.document()

    registry.write_document(document, None)

    assert seen(registry).document == document
    assert registry.endpoints() == [NAME]


def test_of_two_first_promotions_one_wins_and_the_other_changes_nothing(registry: Registry) -> None:
    winner, loser = given.document("v1"), given.document("v2")
    registry.write_document(winner, None)

    with pytest.raises(DocumentChangedError):
        registry.write_document(loser, None)

    assert seen(registry).document == winner
    assert registry.history(winner) == [winner.last]


def test_of_two_promotions_from_the_same_state_one_wins_and_the_other_changes_nothing(
    registry: Registry,
) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    winner = given.document("v2", start.document)
    loser = given.document("v3", start.document)
    registry.write_document(winner, start)

    with pytest.raises(DocumentChangedError):
        registry.write_document(loser, start)

    assert seen(registry).document == winner
    assert [line.version for line in registry.history(winner)] == ["v1", "v2"]


def test_of_two_who_decide_the_same_at_the_same_moment_one_has_decided(registry: Registry) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    change = Change(type="paused", version="v1", by="a person", reason="so many alarms")
    alike = [transitions.apply(start.document, change, given.NOW, 1) for _ in range(2)]

    class Overtaken(Store, frozen=True):
        def replace(self, key: str, body: bytes, etag: str) -> bool:
            registry.write_document(alike[0], start)  # after both have settled
            return super().replace(key, body, etag)

    late = Registry(Overtaken(registry.store.s3, registry.store.bucket), registry.seal)

    with pytest.raises(DocumentChangedError):
        late.write_document(alike[1], start)

    assert seen(registry).document == alike[0]


def test_a_stale_write_loses_even_after_the_champion_went_from_a_to_b_and_back_to_a(
    registry: Registry,
) -> None:
    """Without generation and nonce both documents of A would have the same ETag."""
    registry.write_document(given.document("a"), None)
    stale = seen(registry)
    registry.write_document(given.document("b", stale.document), stale)
    now = seen(registry)
    back = Change(type="rolled back", version="a", by="a person", reason="worse")
    registry.write_document(transitions.apply(now.document, back, given.NOW, 2), now)

    with pytest.raises(DocumentChangedError):
        registry.write_document(given.document("c", stale.document), stale)

    assert seen(registry).document.champion == "a"
    assert seen(registry).document.generation == 3


@pytest.mark.parametrize("fault", LOST)
def test_a_promotion_whose_answer_was_lost_has_happened(registry: Registry, fault: Fault) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    document = given.document("v2", start.document)
    fault.hit, fault.key = 0, f"endpoints/{NAME}.json"

    with injected(registry.store.s3, "s3.PutObject", fault):
        registry.write_document(document, start)

    assert fault.hit
    assert seen(registry).document == document
    assert [line.version for line in registry.history(document)] == ["v1", "v2"]


def test_a_promotion_whose_answer_was_lost_has_happened_even_if_another_followed_at_once(
    registry: Registry,
) -> None:
    """The next writer put our line into the history: we have not lost."""
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    ours = given.document("v2", start.document, by="us")

    def another_follows() -> None:
        now = seen(registry)
        registry.write_document(given.document("v3", now.document, by="them"), now)

    lost = Fault(500, happens=True, key=f"endpoints/{NAME}.json", meanwhile=another_follows)

    with injected(registry.store.s3, "s3.PutObject", lost):
        registry.write_document(ours, start)

    now = seen(registry).document
    assert [line.by for line in registry.history(now)] == ["a run", "us", "them"]


def test_where_a_document_was_deleted_no_other_begins(registry: Registry) -> None:
    registry.write_document(given.document("v1"), None)
    registry.store.s3.delete_object(Bucket=registry.store.bucket, Key=f"endpoints/{NAME}.json")

    with pytest.raises(OldDocumentError, match="put back the newest"):
        registry.write_document(given.document("v2"), None)

    assert registry.document(NAME) is None


@pytest.mark.parametrize("name", ["zz.json", "1.json", "000001.json.copy", "000001/x.json"])
def test_what_lies_in_the_history_and_is_no_line_of_it_stops_nobody(
    registry: Registry, name: str
) -> None:
    registry.write_document(given.document("v1"), None)
    registry.store.put(f"endpoints/{NAME}/history/{name}", b"?")

    registry.write_document(given.document("v2", seen(registry).document), seen(registry))

    assert seen(registry).document.champion == "v2"


def test_a_line_of_the_history_or_a_run_that_is_damaged_is_an_error_of_ours(
    registry: Registry,
) -> None:
    registry.write_document(given.document("v1"), None)
    registry.store.put(f"endpoints/{NAME}/history/000001.json", b"?")
    registry.store.put(f"runs/{NAME}/slot.json", b"?")

    with pytest.raises(CorruptDocumentError, match="history/000001"):
        registry.decision(NAME, 1)
    with pytest.raises(CorruptDocumentError, match="runs"):
        run_claims.find(registry.store, NAME, "slot")


def test_a_promotion_that_failed_raises_and_leaves_the_old_champion(registry: Registry) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    before = registry.store.get(f"endpoints/{NAME}.json")
    down = Fault(500, times=9, key=f"endpoints/{NAME}.json")

    with injected(registry.store.s3, "s3.PutObject", down), pytest.raises(ClientError):
        registry.write_document(given.document("v2", start.document), start)

    assert registry.store.get(f"endpoints/{NAME}.json") == before


def test_a_history_line_that_a_crash_left_out_is_completed_by_the_next_writer(
    registry: Registry,
) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    crash = Fault(error=KeyboardInterrupt(), key="history/000002")
    second = given.document("v2", start.document)
    with injected(registry.store.s3, "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        registry.write_document(second, start)
    assert [line.version for line in registry.history(second)] == ["v1", "v2"]

    now = seen(registry)
    third = given.document("v3", now.document)
    registry.write_document(third, now)

    assert [line.version for line in registry.history(third)] == ["v1", "v2", "v3"]


def test_an_unchanged_document_is_not_read_again(registry: Registry) -> None:
    registry.write_document(given.document("v1"), None)

    assert registry.document_if_changed(NAME, seen(registry).etag) is None


def test_a_changed_document_is_read(registry: Registry) -> None:
    registry.write_document(given.document("v1"), None)
    start = seen(registry)
    registry.write_document(given.document("v2", start.document), start)

    found = registry.document_if_changed(NAME, start.etag)

    assert found is not None
    assert found.document.champion == "v2"


# Versions


def test_a_version_comes_back_as_it_was_written(registry: Registry, trained: Trained) -> None:
    registry.write_version(trained.manifest, trained.artifacts)

    version = trained.manifest.version
    assert registry.versions(NAME) == [version]
    assert registry.manifest(NAME, version) == trained.manifest
    assert registry.artifact(trained.manifest, ONNX) == trained.artifacts[ONNX]


def test_a_version_can_be_written_twice_by_the_same_run(
    registry: Registry, trained: Trained
) -> None:
    registry.write_version(trained.manifest, trained.artifacts)

    registry.write_version(trained.manifest, trained.artifacts)

    assert registry.versions(NAME) == [trained.manifest.version]


def test_a_version_cannot_be_overwritten(registry: Registry, trained: Trained) -> None:
    registry.write_version(trained.manifest, trained.artifacts)

    with pytest.raises(ModelUnavailableError, match="exists already"):
        registry.write_version(trained.manifest, {ONNX: b"another"})

    assert registry.artifact(trained.manifest, ONNX) == trained.artifacts[ONNX]


def test_a_version_has_its_manifest_last(registry: Registry, trained: Trained) -> None:
    crash = Fault(error=KeyboardInterrupt(), key="manifest.json")

    with injected(registry.store.s3, "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        registry.write_version(trained.manifest, trained.artifacts)

    assert registry.manifest(NAME, trained.manifest.version) is None
    assert registry.artifact(trained.manifest, ONNX) == trained.artifacts[ONNX]


@pytest.mark.parametrize("fault", LOST)
def test_a_version_whose_answers_were_lost_is_written(
    registry: Registry, trained: Trained, fault: Fault
) -> None:
    fault.hit, fault.key = 0, ""

    with injected(registry.store.s3, "s3.PutObject", fault):
        registry.write_version(trained.manifest, trained.artifacts)

    assert registry.manifest(NAME, trained.manifest.version) == trained.manifest


def test_an_unknown_version_has_no_manifest(registry: Registry) -> None:
    assert registry.manifest(NAME, given.version(1)) is None
    assert registry.versions(NAME) == []


@pytest.mark.parametrize(
    "changes", [{"version": given.version(9)}, {"endpoint": "other"}, {"format": 99}]
)
def test_a_manifest_of_another_version_endpoint_or_format_is_refused(
    registry: Registry, trained: Trained, changes: dict[str, object]
) -> None:
    odd = msgspec.structs.replace(trained.manifest, **changes)
    version = given.version(1)
    registry.store.put(f"models/{NAME}/{version}/manifest.json", msgspec.json.encode(odd))

    with pytest.raises(ModelUnavailableError):
        registry.manifest(NAME, version)


@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff", b'{"format": 1'])
def test_a_manifest_that_is_damaged_is_an_error_of_ours(registry: Registry, body: bytes) -> None:
    registry.store.put(f"models/{NAME}/{given.version(1)}/manifest.json", body)

    with pytest.raises(ModelUnavailableError):
        registry.manifest(NAME, given.version(1))


@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff"])
def test_a_document_that_is_damaged_is_an_error_of_ours(registry: Registry, body: bytes) -> None:
    registry.store.put(f"endpoints/{NAME}.json", body)

    with pytest.raises(EvergreenError):
        registry.document(NAME)


def test_an_artifact_that_is_missing_cannot_be_loaded(registry: Registry, trained: Trained) -> None:
    with pytest.raises(ModelUnavailableError, match="missing"):
        registry.artifact(trained.manifest, ONNX)


def test_an_artifact_of_which_the_manifest_says_nothing_cannot_be_loaded(
    registry: Registry, trained: Trained
) -> None:
    registry.write_version(trained.manifest, trained.artifacts)
    silent = msgspec.structs.replace(trained.manifest, artifacts={})

    with pytest.raises(ModelUnavailableError):
        registry.artifact(silent, ONNX)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@hypothesis_given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_an_artifact_with_one_flipped_bit_is_not_handed_out(
    registry: Registry, trained: Trained, position: float, bit: int
) -> None:
    damaged = bytearray(trained.artifacts[ONNX])
    damaged[int(position * len(damaged))] ^= 1 << bit
    registry.store.put(f"models/{NAME}/{trained.manifest.version}/{ONNX}", bytes(damaged))

    with pytest.raises(CorruptArtifactError, match="nothing was deserialized"):
        registry.artifact(trained.manifest, ONNX)


@pytest.mark.parametrize("change", ["cut", "longer", "empty"])
def test_an_artifact_of_another_size_is_not_handed_out(
    registry: Registry, trained: Trained, change: str
) -> None:
    body = trained.artifacts[ONNX]
    damaged = {"cut": body[:-1], "longer": body + b"\x00", "empty": b""}[change]
    registry.store.put(f"models/{NAME}/{trained.manifest.version}/{ONNX}", damaged)

    with pytest.raises(CorruptArtifactError, match=f"{len(damaged)} bytes"):
        registry.artifact(trained.manifest, ONNX)


@hypothesis_given(a=st.binary(), b=st.binary())
def test_fingerprints_are_equal_exactly_when_the_bytes_are(a: bytes, b: bytes) -> None:
    assert (fingerprint(a) == fingerprint(b)) is (a == b)


# Runs


def test_a_run_is_claimed_once(registry: Registry) -> None:
    assert run_claims.claim(registry.store, NAME, run()).owner == "first"

    second = run_claims.claim(registry.store, NAME, run(owner="second"))

    assert second.owner == "first"


def test_a_retry_of_the_same_invocation_keeps_its_claim(registry: Registry) -> None:
    run_claims.claim(registry.store, NAME, run())

    again = run_claims.claim(registry.store, NAME, run(started=given.NOW + timedelta(minutes=1)))

    assert again.owner == "first"
    assert again.outcome is None


@pytest.mark.parametrize("fault", LOST)
def test_a_claim_whose_answer_was_lost_is_held(registry: Registry, fault: Fault) -> None:
    fault.hit, fault.key = 0, ""

    with injected(registry.store.s3, "s3.PutObject", fault):
        held = run_claims.claim(registry.store, NAME, run())

    assert held.owner == "first"


def test_a_finished_run_is_not_run_again(registry: Registry) -> None:
    claim = run_claims.claim(registry.store, NAME, run())
    run_claims.finish(
        registry.store, NAME, msgspec.structs.replace(claim, outcome="promoted", version="v1")
    )

    later = run_claims.claim(
        registry.store, NAME, run(owner="second", started=given.NOW + timedelta(days=9))
    )

    assert (later.owner, later.outcome, later.version) == ("first", "promoted", "v1")


@pytest.mark.parametrize(
    ("minutes", "owner"), [(14, "first"), (15, "first"), (16, "second"), (9_999, "second")]
)
def test_a_claim_is_taken_over_when_its_owner_must_have_been_ended(
    registry: Registry, minutes: int, owner: str
) -> None:
    run_claims.claim(registry.store, NAME, run())

    later = given.NOW + timedelta(minutes=minutes)
    found = run_claims.claim(registry.store, NAME, run(owner="second", started=later))

    assert found.owner == owner


def test_of_two_that_take_over_the_same_claim_one_holds_it(registry: Registry) -> None:
    run_claims.claim(registry.store, NAME, run())
    later = given.NOW + timedelta(hours=1)
    race = Fault(0, times=0, key="runs/")

    def third_is_faster() -> None:
        race.times = 0
        assert (
            run_claims.claim(registry.store, NAME, run(owner="third", started=later)).owner
            == "third"
        )

    # The first PutObject of the second claim is its failing create, the other its replacement.
    race.first, race.times = 1, 1
    race.status, race.code, race.meanwhile = 409, "ConditionalRequestConflict", third_is_faster
    with injected(registry.store.s3, "s3.PutObject", race):
        second = run_claims.claim(registry.store, NAME, run(owner="second", started=later))

    assert race.hit == 1
    assert second.owner != "second"


def test_runs_of_different_endpoints_do_not_meet(registry: Registry) -> None:
    run_claims.claim(registry.store, NAME, run())

    assert run_claims.claim(registry.store, "other", run(owner="second")).owner == "second"
