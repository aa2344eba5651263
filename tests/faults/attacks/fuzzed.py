"""Feed bytes to a decoder of requests, guided by what of it they reach; run by test_fuzz.

python -m tests.faults.attacks.fuzzed predict|feedback [options of libFuzzer]
"""

import math
import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["evergreen.contract.schema", "feedback", "json"]):
    import feedback
    from evergreen.contract.decoding import RowDecoder
from endpoints.flight_delay import Flight
from evergreen.contract.errors import InvalidRequestError, TooLargeError
from evergreen.contract.problem import KINDS
from evergreen.contract.schema import schema_of

DECODER = RowDecoder(schema_of("flight-delay", Flight))


def of_predict(body: bytes) -> None:
    check([value for row in DECODER.decode(body).instances for value in row.values()])


def of_feedback(body: bytes) -> None:
    kind = (*KINDS, None)[len(body) % (len(KINDS) + 1)]
    check([row.label for row in feedback._decode(body, kind)])


def check(values: list[Any]) -> None:
    """Fail for what is no number though it is taken for one."""
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise AssertionError(value)


def main(decoder: str, *options: str) -> None:
    """Decode until libFuzzer ends the process; what is not refused as a request ends it with 77."""
    decode = {"predict": of_predict, "feedback": of_feedback}[decoder]

    def once(body: bytes) -> None:
        try:
            decode(body)
        except (InvalidRequestError, TooLargeError) as error:
            str(error).encode()

    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
