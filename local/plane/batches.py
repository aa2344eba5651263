"""Plays the state machine of batches as a loop: plan, score each chunk, count."""

from collections.abc import Callable
from typing import IO, Any

import boto3
import msgspec

from evergreen.aws.s3 import Store
from evergreen.batch.plan import planned


def play(
    invoke: Callable[[Any], Any], detail: Any, tell: Callable[[int, int], None], log: IO[str] | None
) -> None:
    """Take the file of an event through all steps; tell: gets how many chunks were tried, of all.

    log: gets a line for each step that failed; the next goes on.
    """

    def step(event: dict[str, Any]) -> Any:
        try:
            return invoke(event)
        except Exception as error:  # whatever a handler raises
            if log:
                print(f"a step of a batch failed: {error!r}", file=log)
            return {"status": "failed"}

    file, data = detail["object"], Store(boto3.client("s3"), detail["bucket"]["name"])
    found = step({"plan": {"object": {"key": file["key"], "etag": file["eTag"]}}})  # so of moto
    if found["status"] == "planned":
        chunks = planned(data, found["place"])
        for number, chunk in enumerate(chunks, start=1):
            step({"score": msgspec.to_builtins(chunk)})
            tell(number, len(chunks))
        step({"count": found["place"]})
