"""The endpoint document: who is champion, and how it came to that."""

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.document import Document, promote
from evergreen.errors import DocumentChangedError
from tests import given


def test_the_first_document_has_generation_one_and_no_previous_champion() -> None:
    document = given.document("v1")

    assert document.generation == 1
    assert document.champion == "v1"
    assert document.last.previous is None


def test_a_promotion_says_whom_it_replaced_by_whom_and_why() -> None:
    first = given.document("v1")

    second = given.document("v2", first, by="run 2", figures={"improvement": 0.1})

    assert second.last.previous == "v1"
    assert (second.last.by, second.last.reason) == ("run 2", "better")
    assert second.last.figures == {"improvement": 0.1}
    assert second.since == second.last.time == given.NOW


@pytest.mark.parametrize("seen", [0, 2])
def test_a_promotion_decided_on_another_generation_is_refused(seen: int) -> None:
    first = given.document("v1")

    with pytest.raises(DocumentChangedError, match="decide again"):
        promote(
            given.NAME, first, version="v2", seen=seen, time=given.NOW, by="a run", reason="better"
        )


def test_a_first_promotion_that_believed_in_an_older_document_is_refused() -> None:
    with pytest.raises(DocumentChangedError):
        promote(given.NAME, None, version="v2", seen=1, time=given.NOW, by="a run", reason="better")


@hypothesis_given(champions=st.lists(st.sampled_from(["a", "b"]), min_size=2, max_size=12))
def test_no_two_documents_have_the_same_bytes_and_generations_rise_by_one(
    champions: list[str],
) -> None:
    documents: list[Document] = []
    for champion in champions:
        documents.append(given.document(champion, documents[-1] if documents else None))

    assert [document.generation for document in documents] == list(range(1, len(champions) + 1))
    assert len({msgspec.json.encode(document) for document in documents}) == len(champions)
    assert len({document.nonce for document in documents}) == len(champions)
