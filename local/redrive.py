"""Send the events again that wait in a stack's queue of dead letters, once their cause is mended.

Each letter says which function or queue its event was for. It is deleted when that has the event
again; what happens to it then ends in that queue too. To handle an event twice changes nothing.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from evergreen.registry.run_claims import RUN_LIMIT
from local.destroy import StackError, arguments_of, resources_of, stack_of, status_of, typed

HIDDEN_SECONDS = 900  # from others, while a person reads the list
LISTEN_SECONDS = 5  # for letters on all of SQS's servers
SHOWN = 160  # characters of an event, and of an error


class _Context(msgspec.Struct, rename="camel"):
    function_arn: str
    request_id: str


class _Lambdas(msgspec.Struct, rename="camel"):
    request_context: _Context
    request_payload: dict[str, Any]
    response_payload: dict[str, Any] | None = None


@dataclass(frozen=True)
class Letter:
    """A dead letter for a function, or the URL of its queue. fault: why it is not sent, or ""."""

    receipt: str
    sent: datetime
    error: str
    target: str = ""
    event: Any = None
    fault: str = ""


def main() -> None:
    """List what waits, ask, and send it again."""
    arguments = arguments_of("redrive", __doc__)
    try:
        session, name = stack_of(arguments)
        queue, targets = parts_of(session.client("cloudformation"), name)
        agreed = (lambda _: True) if arguments.yes else confirmed
        redrive(session.client("sqs"), session.client("lambda"), queue, targets, agreed)
    except (StackError, ClientError) as error:
        sys.exit(str(error))
    except BotoCoreError as error:  # no region, no credentials, no answer
        sys.exit(f"AWS cannot be asked ({error}): set AWS_PROFILE, or AWS_REGION and credentials")


def parts_of(cloudformation: Any, name: str) -> tuple[str, set[str]]:
    """Return the URL of a stack's queue of dead letters, and its functions and other queues."""
    if status_of(cloudformation, name) is None:
        raise StackError(f"There is no stack {name} in {cloudformation.meta.region_name}: STACK=")
    resources = resources_of(cloudformation, name)
    names = {one.name for one in resources if one.kind.endswith((":Function", ":Queue"))}
    if not (letters := {one for one in names if "DeadLetterQueue" in one}):
        raise StackError(f"{name} has no DeadLetterQueue: is it of this template?")
    return min(letters), names - letters


def redrive(
    sqs: Any, lambda_: Any, queue: str, targets: set[str], agreed: Callable[[int], bool]
) -> None:
    """Show what waits in a queue; send and delete what can be sent, if `agreed` to their number.

    targets: functions and URLs of queues that may get them. Raises StackError where some stay.
    """
    letters = waiting(sqs, queue, targets)
    try:
        for number, letter in enumerate(letters, start=1):
            print(shown(number, letter))
        good = [letter for letter in letters if not letter.fault]
        if not letters:
            print("No event waits.")
        elif good and agreed(len(good)):
            for letter in good:
                again(sqs, lambda_, queue, letter)
                letters.remove(letter)
            print("Sent again. What fails once more comes back into the queue.")
    finally:
        for letter in letters:  # others may see them at once
            named = {"QueueUrl": queue, "ReceiptHandle": letter.receipt}
            sqs.change_message_visibility(**named, VisibilityTimeout=0)
    if letters:
        raise StackError(f"{len(letters)} left in the queue.")


def again(sqs: Any, lambda_: Any, queue: str, letter: Letter) -> None:
    """Send one event again, and delete its letter; in this order, or it might be lost."""
    body = msgspec.json.encode(letter.event)
    if letter.target.startswith("https:"):
        sqs.send_message(QueueUrl=letter.target, MessageBody=body.decode())
    else:
        lambda_.invoke(FunctionName=letter.target, InvocationType="Event", Payload=body)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=letter.receipt)


def waiting(sqs: Any, queue: str, targets: set[str]) -> list[Letter]:
    """Take all letters out of a queue for HIDDEN_SECONDS, and return them, oldest first."""
    letters = []
    while found := sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=LISTEN_SECONDS,
        VisibilityTimeout=HIDDEN_SECONDS,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp", "DeadLetterQueueSourceArn"],
    ).get("Messages"):
        letters += [letter_of(message, targets) for message in found]
    return sorted(letters, key=lambda letter: letter.sent)


def letter_of(message: dict[str, Any], targets: set[str]) -> Letter:
    """Read a message: of Lambda, which wraps the event, or of a queue, rule or schedule."""
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    given = message.get("MessageAttributes", {})
    said = {name: value.get("StringValue", "") for name, value in given.items()}
    event = None
    with suppress(msgspec.DecodeError):
        event = msgspec.json.decode(message["Body"])
    arn = said.get("TARGET_ARN") or message["Attributes"].get("DeadLetterQueueSourceArn", "")
    error, again_at = said.get("ERROR_MESSAGE", "see the log"), sent
    if isinstance(event, dict) and "requestContext" in event:
        try:
            found = msgspec.convert(event, _Lambdas)
        except msgspec.ValidationError:
            event = None  # somebody else's: shown, and left
        else:
            event, again_at = found.request_payload, sent + RUN_LIMIT
            arn = found.request_context.function_arn
            error = str((found.response_payload or {}).get("errorMessage", "no answer"))
            if {"endpoint", "id", "detail-type"} & event.keys() == {"endpoint"}:
                # A person's, which names its run by the request: sent twice it must train once.
                event = event | {"id": found.request_context.request_id}
    name, fault = arn.partition(":function:")[2].partition(":")[0], ""
    if ":sqs:" in arn:
        name = next((one for one in targets if one.endswith(f"/{arn.rpartition(':')[2]}")), "")
    if not isinstance(event, dict):
        fault = "it is no event: read it, and delete it by hand"
    elif name not in targets:
        fault = f"{arn or 'its target'} is nothing of this stack: delete it by hand"
    elif datetime.now(UTC) < again_at:  # else it would be taken for a repetition, and dropped
        fault = f"its last attempt may not have ended: send it after {again_at:%H:%M} UTC"
    return Letter(message["ReceiptHandle"], sent, error, name, event, fault)


def shown(number: int, letter: Letter) -> str:
    """Return what a person has to know of a letter."""
    event = msgspec.json.encode(letter.event).decode()
    return (
        f"{number}. {letter.sent:%Y-%m-%d %H:%M} UTC  {letter.target or 'unknown function'}\n"
        f"   error: {letter.error[:SHOWN]}\n"
        f"   event: {event[:SHOWN]}{'…' if len(event) > SHOWN else ''}"
    ) + (f"\n   not sent: {letter.fault}" if letter.fault else "")


def confirmed(number: int) -> bool:
    """Ask a person."""
    return typed(f"Send {number} again? Type yes: ", "Nothing was sent") == "yes"


if __name__ == "__main__":
    main()
