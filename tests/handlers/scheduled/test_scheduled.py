"""What functions share that ask on the bus for each endpoint, and get that from their queue."""

import pytest

from evergreen.contract.errors import UnknownEventError
from scheduled import slot_of, taken

MESSAGE = {"messageId": "of the message", "body": '{"detail-type": "Check Requested"}'}


def test_each_delivery_of_a_message_has_its_event_and_its_id() -> None:
    deliveries = [taken({"Records": [MESSAGE]}, request) for request in ("first", "second")]

    assert deliveries == [({"detail-type": "Check Requested"}, "of the message")] * 2


def test_an_event_without_a_queue_goes_by_its_request() -> None:
    assert taken({"slot": "2013-02-01T05:00:00Z"}, "r") == ({"slot": "2013-02-01T05:00:00Z"}, "r")


def test_several_messages_at_once_are_an_error_and_none_is_left_out() -> None:
    with pytest.raises(ValueError, match="unpack"):
        taken({"Records": [MESSAGE, MESSAGE]}, "r")


@pytest.mark.parametrize("text", ["<aws.scheduler.scheduled-time>", "", "yesterday", None])
def test_a_slot_that_is_no_time_is_an_event_that_is_not_handled(text: str) -> None:
    with pytest.raises(UnknownEventError, match="check does not handle this event"):
        slot_of(text, "check")
