"""A sealed file opens under its own name, with its own bytes, and no other."""

import json
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from evergreen.aws.signing import Seal
from tests.support.registries import Kms

NAME = "models/flight-delay/v1/manifest.json"
JSON = st.dictionaries(
    st.text(min_size=1), st.integers() | st.text() | st.lists(st.booleans()), min_size=1
)


class Counting(Kms):
    """A key that counts what it is asked, and may fail."""

    def __init__(self, failure: str | None = None) -> None:
        self.asked: list[str] = []
        self.failure = failure

    def generate_mac(self, **named: Any) -> dict[str, bytes]:
        self.asked.append("generate")
        return super().generate_mac(**named)

    def verify_mac(self, *, Message: bytes, Mac: bytes, **_: Any) -> Any:  # noqa: N803 - its names
        self.asked.append("verify")
        if self.failure:
            raise ClientError({"Error": {"Code": self.failure}}, "VerifyMac")
        return super().verify_mac(Message=Message, Mac=Mac)


def seal(kms: Any = None, *, writes: bool = True) -> Seal:
    found: Any = kms or Kms()
    return Seal(found, "key", writes)


def pretty(value: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


SEALED = seal().seal(NAME, pretty({"endpoint": "flight-delay", "hash": "00ff"}))


@given(JSON)
def test_what_was_sealed_opens_as_it_was_and_is_json_all_along(value: dict[str, Any]) -> None:
    sealed = seal().seal(NAME, pretty(value))

    assert seal().open(NAME, sealed) == pretty(value)
    assert seal(writes=False).open(NAME, sealed) == pretty(value)
    assert len(json.loads(sealed)["mac"]) == 64


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_anywhere_keeps_it_shut(bit: int, writes: bool) -> None:
    for position in range(len(SEALED)):
        damaged = bytearray(SEALED)
        damaged[position] ^= 1 << bit
        assert seal(writes=writes).open(NAME, bytes(damaged)) is None, position


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{}",
        SEALED[:-1],
        SEALED + b"\n",
        SEALED.replace(b'"mac"', b'"MAC"'),
        SEALED.upper(),
        SEALED[: SEALED.rindex(b',\n  "mac"')] + b"\n}",
        SEALED[: SEALED.rindex(b'"mac": "') + 8] + b'"\n}',
        SEALED.replace(b'",\n  "mac"', b'",\n  "more": 1,\n  "mac"'),
    ],
    ids=["empty", "no mac", "cut", "longer", "another word", "upper case", "stripped", "no value",
         "another member"],
)  # fmt: skip
def test_whatever_else_stands_there_does_not_open(damaged: bytes) -> None:
    assert seal().open(NAME, damaged) is None


@given(st.text())
def test_it_opens_under_its_own_name_alone(name: str) -> None:
    assert (seal().open(name, SEALED) is None) == (name != NAME)


def test_another_key_does_not_open_it() -> None:
    class Other(Kms):
        secret = b"another"

    assert seal(Other()).open(NAME, SEALED) is None
    assert seal(Other(), writes=False).open(NAME, SEALED) is None


def test_who_may_write_generates_and_who_reads_verifies() -> None:
    writer, reader = Counting(), Counting()

    seal(writer).open(NAME, SEALED)
    seal(reader, writes=False).open(NAME, SEALED)

    assert (writer.asked, reader.asked) == (["generate"], ["verify"])


def test_the_same_bytes_are_asked_about_once_and_others_anew() -> None:
    kms = Counting()
    opened = seal(kms, writes=False)

    assert opened.open(NAME, SEALED)
    assert opened.open(NAME, SEALED)
    assert opened.open("endpoints/flight-delay.json", SEALED) is None

    assert kms.asked == ["verify", "verify"]


def test_a_key_that_does_not_answer_is_an_error_and_not_a_verdict() -> None:
    opened = seal(Counting("AccessDeniedException"), writes=False)

    with pytest.raises(ClientError, match="AccessDenied"):
        opened.open(NAME, SEALED)


def test_an_answer_that_does_not_say_that_a_mac_holds_opens_nothing() -> None:
    class Silent(Kms):
        def verify_mac(self, **_: Any) -> Any:
            return {}

    sealed = seal().seal("a.json", pretty({"a": 1}))

    assert seal(Silent(), writes=False).open("a.json", sealed) is None
