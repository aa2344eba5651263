"""Dead letters are listed, sent to the function that failed, and deleted when that has them."""

import builtins
import json
import sys
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from evergreen.registry.run_claims import RUN_LIMIT
from local import redrive
from local.destroy import StackError
from local.plane.plane import Plane
from local.template import ROOT, physical_name, queue_url
from tests.support import queues

QUEUE = queue_url(physical_name("DeadLetterQueue"))
TRAIN, CHECK = physical_name("TrainFunction"), physical_name("CheckFunction")
CHECKS = queue_url(physical_name("CheckQueue"))
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"
SLOT = {"slot": "2013-02-01T05:00:00Z"}


class Lambda:
    """Takes events for functions, and remembers them."""

    def __init__(self, refuses: bool = False) -> None:
        self.taken: list[tuple[str, Any]] = []
        self.refuses = refuses

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> None:  # noqa: N803 - its names
        assert InvocationType == "Event"
        if self.refuses:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
        self.taken.append((FunctionName, json.loads(Payload)))


@pytest.fixture
def sqs(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(redrive, "LISTEN_SECONDS", 0)
    return boto3.client("sqs")


def of_lambda(sqs: Any, event: Any, function: str = TRAIN, request: str = "r1") -> None:
    letter = {
        "requestContext": {"requestId": request, "functionArn": f"{ARN}{function}:$LATEST"},
        "requestPayload": event,
        "responsePayload": {"errorType": "DataError", "errorMessage": "no rows"},
    }
    sqs.send_message(QueueUrl=QUEUE, MessageBody=json.dumps(letter))


def of_a_rule(sqs: Any, event: Any, function: str = CHECK) -> None:
    said = {"TARGET_ARN": f"{ARN}{function}", "ERROR_MESSAGE": "throttled"}
    values = {name: {"DataType": "String", "StringValue": text} for name, text in said.items()}
    sqs.send_message(QueueUrl=QUEUE, MessageBody=json.dumps(event), MessageAttributes=values)


def of_a_queue(sqs: Any, clock: Any, event: Any) -> None:
    """Let an event fail as often as its queue lets it."""
    sqs.send_message(QueueUrl=CHECKS, MessageBody=json.dumps(event))
    for _ in range(4):
        sqs.receive_message(QueueUrl=CHECKS)
        clock.shift(timedelta(hours=2))


def sent(sqs: Any, agreed: bool = True, refuses: bool = False) -> list[tuple[str, Any]]:
    """Redrive, and return what Lambda took."""
    lambda_ = Lambda(refuses)
    redrive.redrive(sqs, lambda_, QUEUE, {TRAIN, CHECK, CHECKS}, lambda _: agreed)
    return lambda_.taken


def left(sqs: Any, clock: Any) -> int:
    """Return how many letters somebody would see who looks a second later."""
    clock.shift(timedelta(seconds=1))
    return len(sqs.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=10).get("Messages", ()))


def test_an_event_goes_to_the_function_that_failed_and_its_letter_is_gone(
    sqs: Any, clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of_lambda(sqs, SLOT, CHECK)
    of_a_rule(sqs, SLOT, TRAIN)
    clock.shift(RUN_LIMIT)

    taken = sent(sqs)

    clock.shift(timedelta(seconds=redrive.HIDDEN_SECONDS))
    assert taken == [(CHECK, SLOT), (TRAIN, SLOT)]
    assert left(sqs, clock) == 0
    said = capsys.readouterr().out
    assert f"1. 2013-02-01 12:00 UTC  {CHECK}" in said
    assert "error: no rows" in said
    assert f"event: {json.dumps(SLOT, separators=(',', ':'))}" in said


def test_a_message_goes_back_to_the_queue_that_gave_it_up_where_it_waits_for_its_turn(
    sqs: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queues.tell_origins(monkeypatch)
    event = json.loads((ROOT / "events" / "check-requested.json").read_text())
    of_a_queue(sqs, clock, event)

    assert sent(sqs) == []

    (message,) = sqs.receive_message(QueueUrl=CHECKS)["Messages"]
    assert json.loads(message["Body"]) == event
    assert left(sqs, clock) == 0
    assert CHECKS in capsys.readouterr().out


def test_many_letters_are_all_sent_oldest_first(sqs: Any, clock: Any) -> None:
    events = [{"slot": f"2013-01-{day:02d}T05:00:00Z"} for day in range(1, 26)]
    for event in events:
        of_lambda(sqs, event)
        clock.shift(timedelta(seconds=1))
    clock.shift(RUN_LIMIT)

    assert [event for _, event in sent(sqs)] == events


def test_nothing_is_sent_unless_somebody_agrees_and_all_can_be_seen_again(
    sqs: Any, clock: Any
) -> None:
    of_lambda(sqs, SLOT)
    clock.shift(RUN_LIMIT)

    with pytest.raises(StackError, match="1 left in the queue"):
        sent(sqs, agreed=False)

    assert left(sqs, clock) == 1


def test_a_letter_stays_where_lambda_does_not_accept_its_event(sqs: Any, clock: Any) -> None:
    of_lambda(sqs, SLOT)
    of_lambda(sqs, SLOT)
    clock.shift(RUN_LIMIT)

    with pytest.raises(ClientError):
        sent(sqs, refuses=True)

    assert left(sqs, clock) == 2


def test_an_event_whose_run_may_still_be_held_by_its_last_attempt_waits(
    sqs: Any, clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run would take it for a repetition, and it would be gone."""
    of_lambda(sqs, SLOT)
    clock.shift(RUN_LIMIT - timedelta(seconds=1))

    with pytest.raises(StackError, match="1 left in the queue"):
        sent(sqs)

    assert "send it after 12:15 UTC" in capsys.readouterr().out
    assert left(sqs, clock) == 1


def test_what_is_no_event_of_a_function_of_the_stack_is_shown_and_stays(
    sqs: Any, clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of_lambda(sqs, SLOT, "somebody-elses")
    of_lambda(sqs, ["no", "event"])
    sqs.send_message(QueueUrl=QUEUE, MessageBody="not JSON")
    sqs.send_message(QueueUrl=QUEUE, MessageBody=json.dumps(SLOT))
    sqs.send_message(QueueUrl=QUEUE, MessageBody='{"requestContext": {}}')
    sqs.send_message(QueueUrl=QUEUE, MessageBody='{"requestContext": null, "requestPayload": {}}')
    binary = {"TARGET_ARN": {"DataType": "Binary", "BinaryValue": b"?"}}
    sqs.send_message(QueueUrl=QUEUE, MessageBody=json.dumps(SLOT), MessageAttributes=binary)
    clock.shift(RUN_LIMIT)

    with pytest.raises(StackError, match="7 left in the queue"):
        sent(sqs)

    assert left(sqs, clock) == 7
    assert capsys.readouterr().out.count("not sent: ") == 7


def test_what_a_person_asked_for_names_its_run_by_the_first_request(sqs: Any, clock: Any) -> None:
    of_lambda(sqs, {"endpoint": "flight-delay"}, request="the-first")
    clock.shift(RUN_LIMIT)

    assert sent(sqs) == [(TRAIN, {"endpoint": "flight-delay", "id": "the-first"})]


def test_an_empty_queue_is_said_to_be_empty(sqs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert sent(sqs) == []

    assert capsys.readouterr().out == "No event waits.\n"


# The command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["redrive", "--config-env", "staging", *arguments])
    redrive.main()


def test_a_stack_that_does_not_exist_is_said(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="There is no stack evergreen-staging in eu-west-1"):
        run(monkeypatch)


def test_the_command_finds_the_queue_of_the_stack_asks_and_sends_nothing_without_yes(
    plane: Plane, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redrive, "LISTEN_SECONDS", 0)
    monkeypatch.setattr(builtins, "input", lambda _: "y")
    queues = {"DeadLetterQueue": {"Type": "AWS::SQS::Queue"}, "Other": {"Type": "AWS::SQS::Queue"}}
    template = {"Resources": queues}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName="another", TemplateBody=json.dumps(template))
    monkeypatch.setattr(boto3, "Session", lambda **_: boto3)  # the clients of all tests
    queue, targets = redrive.parts_of(cloudformation, "another")
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(SLOT))

    with pytest.raises(SystemExit, match="1 left in the queue"):
        run(monkeypatch, "--stack", "another")

    assert "DeadLetterQueue" in queue
    (other,) = targets
    assert "Other" in other
    assert "1. 2013-02-01 12:00 UTC  unknown function" in capsys.readouterr().out


def test_nobody_there_to_ask_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(builtins, "input", nobody)
    with pytest.raises(StackError, match="nobody is here to ask"):
        redrive.confirmed(1)

    monkeypatch.setattr(builtins, "input", lambda _: " yes ")
    assert redrive.confirmed(1)
