"""Jobs of an invocation: begun when it returns, and done before Lambda may freeze anything."""

import queue
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from unittest.mock import patch

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from evergreen.aws import extension
from evergreen.aws.extension import AfterAnswer
from local.plane.process import CODE
from tests.support.servers import HOST, SECONDS, Answered, ExtensionsApi, extensions_api

REFUSALS = [Answered(status=500), Answered(status=403), Answered(status=202)]


class HandlerError(Exception):
    pass


@pytest.fixture
def api() -> Iterator[ExtensionsApi]:
    with extensions_api() as found:
        yield found


def fail() -> None:
    raise ValueError("it is broken")


def test_it_registers_by_its_name_for_invocations_alone(api: ExtensionsApi) -> None:
    AfterAnswer(api.address)

    (asked,) = api.registered
    assert asked.headers["Lambda-Extension-Name"] == "evergreen-after-answer"
    assert asked.body == b'{"events": ["INVOKE"]}'


def test_it_asks_for_events_with_the_identifier_that_it_got(api: ExtensionsApi) -> None:
    AfterAnswer(api.address)

    asked = api.wait_until_idle()

    assert asked.headers["Lambda-Extension-Identifier"] == api.identifier


def test_the_identifier_may_come_in_a_header_of_any_case() -> None:
    answer = Answered(headers={"lambda-extension-identifier": "lower"})

    with extensions_api(answer) as api:
        AfterAnswer(api.address)

        assert api.wait_until_idle().headers["Lambda-Extension-Identifier"] == "lower"


def test_while_the_handler_runs_no_job_is_done_and_lambda_may_not_freeze(
    api: ExtensionsApi,
) -> None:
    after, done = AfterAnswer(api.address), queue.Queue[str]()
    api.wait_until_idle()
    api.begin()

    with after.invocation():
        after.do(lambda: done.put("a job"))

        with pytest.raises(queue.Empty):
            api.wait_until_idle(0.1)
        assert done.empty()


def test_a_job_is_done_after_the_handler_and_before_lambda_may_freeze(api: ExtensionsApi) -> None:
    after, handler_returned = AfterAnswer(api.address), queue.Queue[str]()
    seen: list[str] = []
    api.wait_until_idle()
    api.begin()

    with after.invocation():
        after.do(lambda: seen.append(handler_returned.get(timeout=SECONDS)))
    handler_returned.put("only now")
    api.wait_until_idle()

    assert seen == ["only now"]


def test_a_connection_that_did_not_outlive_a_snapshot_is_opened_again(api: ExtensionsApi) -> None:
    after, done = AfterAnswer(api.address), list[str]()
    api.wait_until_idle()

    api.fail(None)

    api.wait_until_idle()
    api.begin()
    with after.invocation():
        after.do(lambda: done.append("a job"))
    api.wait_until_idle()
    assert (done, api.exits) == (["a job"], [])


def test_the_jobs_of_a_handler_that_raises_are_done(api: ExtensionsApi) -> None:
    after, done = AfterAnswer(api.address), list[str]()
    api.wait_until_idle()
    api.begin()

    def handler() -> None:
        with after.invocation():
            after.do(lambda: done.append("a job"))
            raise HandlerError

    with pytest.raises(HandlerError):
        handler()

    api.wait_until_idle()
    assert done == ["a job"]


def test_a_job_that_raises_is_logged_and_does_not_stop_the_others(
    api: ExtensionsApi, caplog: pytest.LogCaptureFixture
) -> None:
    after, done = AfterAnswer(api.address), list[str]()
    api.wait_until_idle()
    api.begin()

    with after.invocation():
        after.do(fail)
        after.do(lambda: done.append("the next job"))
    api.wait_until_idle()

    assert done == ["the next job"]
    assert "a job after the answer failed" in caplog.text
    assert "ValueError in" in caplog.text


JOBS = st.lists(st.booleans(), max_size=4)  # whether each one raises


@settings(max_examples=60)
@hypothesis_given(st.lists(st.tuples(JOBS, st.booleans()), min_size=1, max_size=6))
def test_every_job_is_done_once_in_order_before_lambda_may_freeze(
    invocations: list[tuple[list[bool], bool]],
) -> None:
    asked, done = list[int](), list[int]()

    def job(number: int, raises: bool) -> Callable[[], None]:
        def run() -> None:
            done.append(number)
            if raises:
                raise ValueError(number)

        asked.append(number)
        return run

    quiet = patch.object(extension.logger, "disabled", True)  # else a traceback for each
    with quiet, extensions_api() as api:
        after = AfterAnswer(api.address)
        api.wait_until_idle()
        for jobs, handler_raises in invocations:
            api.begin()
            with suppress(HandlerError), after.invocation():
                for raises in jobs:
                    after.do(job(len(asked), raises))
                assert done == asked[: len(asked) - len(jobs)]
                if handler_raises:
                    raise HandlerError
            api.wait_until_idle()
            assert done == asked


def at_once(after: AfterAnswer) -> bool:
    done: list[str] = []
    with after.invocation():
        after.do(lambda: done.append("a job"))
        return done == ["a job"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.status)
def test_where_lambda_takes_no_extension_jobs_are_done_at_once_with_a_warning(
    refusal: Answered, caplog: pytest.LogCaptureFixture
) -> None:
    with extensions_api(refusal) as api:
        after = AfterAnswer(api.address)

    assert at_once(after)
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage().startswith("jobs are done before the answer: ")
    assert str(refusal.status) in warning.getMessage()


def test_where_nobody_listens_jobs_are_done_at_once_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))  # nobody else gets it, and nobody listens

        after = AfterAnswer(f"{HOST}:{unused.getsockname()[1]}")

    assert at_once(after)
    assert "jobs are done before the answer: " in caplog.text


def test_outside_lambda_jobs_are_done_at_once_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert at_once(AfterAnswer(None))
    assert caplog.records == []


@contextmanager
def environment(api: ExtensionsApi) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in which one invocation returns; what comes after is Lambda's turn."""
    code = """if True:
        import sys, threading
        from evergreen.aws.extension import AfterAnswer
        with AfterAnswer(sys.argv[1]).invocation():
            pass
        threading.Event().wait()
    """
    with subprocess.Popen([sys.executable, "-c", code, api.address], cwd=CODE) as process:
        try:
            api.wait_until_idle()
            assert process.poll() is None
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("answer", [None, Answered(status=500)], ids=["no answer", "500"])
def test_an_environment_that_has_lost_the_api_ends_itself(
    api: ExtensionsApi, answer: Answered | None
) -> None:
    """Each of its invocations would wait for the extension until its timeout."""
    with environment(api) as process:
        api.end(answer)

        assert process.wait(SECONDS) == 1


def test_an_environment_whose_api_is_gone_ends_itself() -> None:
    with ExitStack() as stack:
        api = stack.enter_context(extensions_api())
        with environment(api) as process:
            stack.close()  # nobody listens any more
            api.begin()  # and this was asked before

            assert process.wait(SECONDS) == 1
