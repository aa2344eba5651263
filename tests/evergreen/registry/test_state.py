"""The endpoint document: who is champion, and who else gets requests."""

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.registry.state import Challenger, Document, Experiment, Status
from tests.support import given
from tests.support.given import NOW


def with_experiment(control: str, treatment: str, share: float) -> Document:
    experiment = Experiment(
        id="1", control=control, treatment=treatment, share=share, hypothesis="", min_rows=1,
        start=NOW, end=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(given.document("v1"), experiment=experiment)


def test_the_first_document_has_generation_one_and_no_previous_champion() -> None:
    document = given.document("v1")

    assert (document.generation, document.champion) == (1, "v1")
    assert document.last.previous is None
    assert document.statuses == {"v1": "champion"}


def test_a_promotion_says_whom_it_replaced_by_whom_and_why() -> None:
    first = given.document("v1")

    second = given.document("v2", first, by="run 2", figures={"improvement": 0.1})

    assert second.last.previous == second.previous == "v1"
    assert (second.last.by, second.last.reason) == ("run 2", "better")
    assert second.last.figures == {"improvement": 0.1}
    assert second.last.moves == {"v1": "retired", "v2": "champion"}
    assert second.since == second.last.time == NOW


@hypothesis_given(promotions=st.integers(1, 12))
def test_no_two_documents_have_the_same_bytes_and_generations_rise_by_one(promotions: int) -> None:
    documents = [given.document("v0")]
    for number in range(1, promotions):
        documents.append(given.document(f"v{number}", documents[-1]))

    assert [document.generation for document in documents] == list(range(1, promotions + 1))
    assert len({msgspec.json.encode(document) for document in documents}) == promotions
    assert len({document.nonce for document in documents}) == promotions


def test_a_document_is_read_back_as_it_was_written() -> None:
    document = given.document("v2", given.document("v1"), policy={"canary": (0.05, 0.25)})

    assert msgspec.json.decode(msgspec.json.encode(document), type=Document) == document


@pytest.mark.parametrize(
    ("statuses", "candidate"),
    [({"v1": "champion"}, None), ({"v1": "champion", "v2": "shadow", "v3": "candidate"}, "v3")],
)
def test_the_candidate_is_the_version_that_waits(
    statuses: dict[str, Status], candidate: str | None
) -> None:
    document = msgspec.structs.replace(given.document("v1"), statuses=statuses)

    assert document.candidate == candidate


@pytest.mark.parametrize(
    ("document", "arms"),
    [
        (with_experiment("v1", "v2", 0.2), {"v2": 0.2}),
        (with_experiment("v2", "v3", 0.2), {"v2": 0.2, "v3": 0.2}),
        (given.document("v1"), {}),
    ],
    ids=["champion against another", "two others", "no experiment"],
)
def test_the_champion_answers_what_no_arm_gets(document: Document, arms: dict[str, float]) -> None:
    assert document.arms == arms


def test_a_challenger_gets_no_requests_until_it_is_a_canary() -> None:
    shadow = Challenger(version="v2", stage="shadow", started=NOW, since=NOW)
    canary = msgspec.structs.replace(shadow, stage="canary", share=0.05)

    arms = [
        msgspec.structs.replace(given.document("v1"), challenger=challenger).arms
        for challenger in (shadow, canary)
    ]

    assert arms == [{}, {"v2": 0.05}]
