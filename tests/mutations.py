"""The defences, how each is removed, and a test that must then fail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """A defence that is removed by replacing a text, unique in its file, by another.

    promise: the row of docs/promises.md that it is for. test: the id that pytest takes.
    """

    defence: str
    promise: int
    file: str
    old: str
    new: str
    test: str


REGISTRY = "functions/evergreen/registry.py"
SEAL = "functions/evergreen/seal.py"
TAMPERING = "tests/faults/test_tampering.py"

MUTATIONS = [
    Mutation(
        "signature",
        3,
        SEAL,
        "            if not self._holds(message, bytes.fromhex(mac.decode())):\n"
        "                return None\n",
        "",
        f"{TAMPERING}::test_a_champion_that_somebody_wrote_into_the_document_does_not_serve",
    ),
    Mutation(
        "name in the signature",
        3,
        SEAL,
        'b"evergreen\\0" + name.encode() + b"\\0" +',
        'b"evergreen\\0" +',
        f"{TAMPERING}::test_a_document_of_another_endpoint_is_refused",
    ),
    Mutation(
        "hash",
        3,
        REGISTRY,
        "        if found != said:\n",
        "        if found.bytes != said.bytes:\n",
        f"{TAMPERING}::test_every_flipped_byte_of_an_artifact_is_caught",
    ),
    Mutation(
        "size",
        3,
        REGISTRY,
        ", said.bytes + 1) if said else None",
        ") if said else None",
        f"{TAMPERING}::test_an_artifact_that_is_far_too_large_is_not_read_to_its_end",
    ),
    Mutation(
        "generation, in a warm function",
        3,
        "functions/evergreen/serving.py",
        "if seen.document.generation < look.document.generation:",
        "if False:",
        f"{TAMPERING}::test_an_old_document_does_not_bring_its_champion_back_to_a_warm_function",
    ),
    Mutation(
        "generation, for who writes",
        3,
        REGISTRY,
        "        raise OldDocumentError(endpoint, generation)\n",
        "",
        f"{TAMPERING}::test_nobody_decides_on_an_old_document",
    ),
]
