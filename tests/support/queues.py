"""The queues of the template in moto, and what moto does not tell of their messages."""

import json
from typing import Any

import boto3
import pytest
from moto.sqs.models import Queue
from moto.sqs.responses import SQSResponse

from local.template import physical_name, queue_url

LETTERS = queue_url(physical_name("DeadLetterQueue"))
WORK = [queue_url(physical_name(f"{name}Queue")) for name in ("Check", "Train", "Rollout")]


def letters() -> list[Any]:
    """Take up to ten dead letters, and return their bodies."""
    answer = boto3.client("sqs").receive_message(QueueUrl=LETTERS, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


def counted(url: str) -> int:
    """Return how many messages a queue has, those too that somebody has taken."""
    answer = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    found: Any = answer["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(found[name]) for name in names)


def tell_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moto say of a dead letter which queue it is of, as SQS does."""
    add, receive = Queue.add_message, SQSResponse.receive_message

    def added(queue: Any, message: Any) -> None:
        message.origin = getattr(message, "origin", queue.queue_arn)
        add(queue, message)

    def received(response: Any) -> Any:
        found = receive(response)
        known = {
            one.id: one.origin
            for queue in response.sqs_backend.queues.values()
            for one in queue._messages
            if one.origin != queue.queue_arn
        }
        for message in found.result.get("Messages", ()):
            if message["MessageId"] in known and "Attributes" in message:
                message["Attributes"]["DeadLetterQueueSourceArn"] = known[message["MessageId"]]
        return found

    monkeypatch.setattr(Queue, "add_message", added)
    monkeypatch.setattr(SQSResponse, "receive_message", received)
