"""The event plane that moto lacks: it routes requests, events and schedules to the real handlers.

Routes, rules, queues and schedules come from the template. A function that fails is tried again as
Lambda would, or as moto's queue, and its event then goes to the dead-letter queue that the template
names. The account says what became of all that was accepted.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from threading import Semaphore
from typing import IO, Any
from urllib.parse import unquote

import boto3

from local.cloud.iam_actions import Need
from local.cloud.permissions import Role, roles
from local.cloud.resources import EVERYTHING, inbox
from local.plane import batches, limits
from local.plane.gateway import Answer, Route, Texts, http_event
from local.plane.limits import EventAgeError, Invocation, LimitError, ThrottledError
from local.plane.process import Process, Runtime
from local.plane.schedule import next_time
from local.template import Template, TemplateError, physical_name, queue_url

RETRIES = 2  # of an asynchronous invocation, unless the template says otherwise
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


@dataclass
class Plane:
    """One deployment of a template, within `local.cloud.resources.started`.

    log: gets a line for each invocation that failed.
    on_event: called with each event on a bus of the template.
    on_chunk: called with how many chunks of a batch have been tried, of how many.
    runtime: runs the functions; this process, if nothing else is said.
    waiting: what Lambda has accepted and not ended yet; between two calls, what is throttled.
    account: how many were accepted, processed and dead-lettered.
    """

    template: Template
    log: IO[str] | None = None
    on_event: Callable[[dict[str, Any]], None] = lambda _: None
    on_chunk: Callable[[int, int], None] = lambda *_: None
    runtime: Runtime = field(default_factory=Process)
    waiting: list[Invocation] = field(default_factory=list)
    account: Counter[str] = field(default_factory=Counter)
    _free: dict[str, Semaphore] = field(default_factory=dict)
    _created: datetime = field(default_factory=lambda: datetime.now(UTC))
    _ticked: datetime = field(default_factory=lambda: datetime.now(UTC))
    _next: dict[str, datetime] = field(default_factory=dict)  # of each schedule, after the tick

    @cached_property
    def _sqs(self) -> Any:
        return boto3.client("sqs")

    # Functions

    @cached_property
    def roles(self) -> dict[str, Role]:
        return roles(self.template)

    @cached_property
    def _functions(self) -> dict[str, dict[str, Any]]:
        """Return the functions, each with its role itself in place of the role's ARN."""
        functions = self.template.of_type("AWS::Lambda::Function").items()
        return {name: {**found, "Role": self.roles[name]} for name, found in functions}

    def invoke(self, function: str, event: dict[str, Any], request_id: str = "") -> Any:
        if (properties := self._functions.get(function)) is None:
            raise TemplateError(f"the template has no function {function}")
        request_id = request_id or str(uuid.uuid4())
        with limits.running(self._free, function, properties):
            answer = self.runtime.invoke(function, properties, event, request_id)
        limits.check_size(answer, limits.ANSWER_BYTES, "Response payload size exceeded")
        return answer

    def deliver(self, function: str, event: dict[str, Any]) -> None:
        """Invoke a function asynchronously: with retries, and its dead-letter queue after them."""
        self._accept(function, event)
        self._work()

    def _accept(self, function: str, event: dict[str, Any]) -> None:
        limits.check_size(event, limits.EVENT_BYTES, "Request must be smaller than")
        self.waiting.append(Invocation(function, event, str(uuid.uuid4())))
        self.account["accepted"] += 1

    def _work(self) -> None:
        """Try what waits, and what fails again after the others."""
        delayed = []
        while self.waiting:
            invocation = self.waiting.pop(0)
            if invocation.function.startswith("arn:"):
                url = queue_url(invocation.function.rpartition(":")[2])
                self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(invocation.event))
            elif not self._try(invocation):
                delayed.append(invocation)
        self.waiting += delayed

    def _try(self, invocation: Invocation) -> bool:
        """Try an event; False where its function is throttled."""
        function = invocation.function
        config = self._invocations.get(function, {})
        try:
            limits.check_age(invocation.accepted, config)
            self.invoke(function, invocation.event, invocation.request_id)
        except ThrottledError:
            return False
        except EventAgeError as error:
            self._give_up(invocation, config, error)
        except Exception as error:  # whatever a handler raises, Lambda tries again
            if self.log:
                print(f"{function} failed: {error!r}", file=self.log)
            if invocation.receipt:
                return True  # its message can be seen again once it is no longer hidden
            failed = replace(invocation, attempts=invocation.attempts + 1)
            if failed.attempts <= config.get("MaximumRetryAttempts", RETRIES):
                self.waiting.append(failed)
            else:
                self._give_up(failed, config, error)
        else:
            if invocation.receipt:
                self._sqs.delete_message(**invocation.receipt)
            self.account["processed"] += 1
        return True

    def _taken(self) -> bool:
        """Let each function handle what is next in its queue; return whether there was anything.

        One at a time, which no MaximumConcurrency forbids; what `invoke` enforces holds here too.
        """
        found = False
        for mapping in self.template.of_type("AWS::Lambda::EventSourceMapping").values():
            function = self._function_at(f":function:{mapping['FunctionName']}")
            arn = mapping["EventSourceArn"]
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                self.roles[function].check(Need(f"sqs:{action}", arn), action)
            queue = {"QueueUrl": queue_url(arn.rpartition(":")[2])}
            taken = self._sqs.receive_message(**queue, MessageSystemAttributeNames=["All"])
            for message in taken.get("Messages", ()):
                record = {key[0].lower() + key[1:]: value for key, value in message.items()}
                event = {"Records": [record | {"eventSource": "aws:sqs", "eventSourceARN": arn}]}
                receipt = queue | {"ReceiptHandle": message["ReceiptHandle"]}
                self._try(Invocation(function, event, str(uuid.uuid4()), receipt=receipt))
                found = True
        return found

    @cached_property
    def _invocations(self) -> dict[str, dict[str, Any]]:
        configs = self.template.of_type("AWS::Lambda::EventInvokeConfig").values()
        return {self._function_at(f":function:{one['FunctionName']}"): one for one in configs}

    def _give_up(self, failed: Invocation, config: dict[str, Any], error: Exception) -> None:
        """Send an event where the template wants those that failed, in the words of Lambda."""
        if "OnFailure" not in config.get("DestinationConfig", {}):
            raise TemplateError(f"{failed.function} has no dead-letter queue") from error
        queue = config["DestinationConfig"]["OnFailure"]["Destination"]
        self.roles[failed.function].check(Need("sqs:SendMessage", queue), "SendMessage")
        letter = limits.letter(failed, error)
        url = queue_url(queue.rpartition(":")[2])
        self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(letter))
        self.account["dead-lettered"] += 1

    # Requests

    @cached_property
    def routes(self) -> list[Route]:
        """Return the routes of the API, those with fewer variables first."""
        routes = []
        for api in self.template.of_type("AWS::ApiGatewayV2::Api").values():
            for path, methods in api["Body"]["paths"].items():
                for method, spec in methods.items():
                    uri = spec["x-amazon-apigateway-integration"]["uri"]
                    function = self._function_at(uri.partition("/functions/")[2].rpartition("/")[0])
                    routes.append(Route(method.upper(), path, function))
        return sorted(routes, key=lambda route: (route.path.count("{"), route.path))

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Texts | None = None
    ) -> Answer:
        """Answer an HTTP request as API Gateway would; nobody is asked to sign it here."""
        raw_path, _, query = path.partition("?")
        plain = unquote(raw_path)
        for route in self.routes:
            match = route.pattern.fullmatch(plain)
            if route.method == method and match:
                event = http_event(route, plain, query, match.groupdict(), body, headers or {})
                return self._answer(route.function, event)
        return Answer(404, {"content-type": "application/json"}, '{"message":"Not Found"}')

    def _answer(self, function: str, event: dict[str, Any]) -> Answer:
        try:
            limits.check_size(event, limits.REQUEST_BYTES, "Request must be smaller than")
        except LimitError:
            return Answer(413, {}, '{"message":"Request Entity Too Large"}')
        try:
            result = self.invoke(function, event)
        except Exception as error:  # API Gateway hides what a function raised
            if self.log:
                print(f"{function} failed: {error!r}", file=self.log)
            return Answer(500, {}, '{"message":"Internal Server Error"}')
        headers = {key.lower(): str(value) for key, value in result.get("headers", {}).items()}
        return Answer(result["statusCode"], headers, result.get("body", ""))

    # Events

    def settle(self) -> None:
        """Deliver the events that rules have matched, and those that these lead to."""
        self._work()
        while self._matched() or self._taken():
            self._work()
        for event in self._received(EVERYTHING):
            self.on_event(event)

    def _matched(self) -> bool:
        """Hand what rules have matched to their targets; return whether there was anything."""
        before = self.account["accepted"]
        for rule, properties in self.template.enabled("AWS::Events::Rule").items():
            for event in self._received(rule):
                for target in properties["Targets"]:
                    arn = target["Arn"]
                    if ":stateMachine:" in arn:
                        invoke = partial(self.invoke, "BatchFunction")
                        batches.play(invoke, event["detail"], self.on_chunk, self.log)
                    else:
                        self._accept(arn if ":sqs:" in arn else self._function_at(arn), event)
        return self.account["accepted"] > before

    def _received(self, rule: str) -> Iterator[dict[str, Any]]:
        """Yield the events that a rule matched; each leaves its queue once it has been taken."""
        url = queue_url(inbox(rule))
        while messages := self._sqs.receive_message(QueueUrl=url).get("Messages"):
            yield json.loads(messages[0]["Body"])
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])

    def _function_at(self, arn: str) -> str:
        named = arn.partition(":function:")[2].partition(":")[0]  # an alias may follow
        for function in self._functions:
            if physical_name(function) == named:
                return function
        raise TemplateError(f"{arn} is none of the template's functions")

    # Schedules

    def due(self, until: datetime) -> list[tuple[datetime, str]]:
        """Return the times and names of schedules that fire from the last tick up to `until`."""
        fired = []
        for name, schedule in self.template.enabled("AWS::Scheduler::Schedule").items():
            time = self._next.get(name)
            if time is None or time <= self._ticked:
                time = next_time(schedule, self._ticked, self._created)
                self._next[name] = time
            while time <= until:
                fired.append((time, name))
                time = next_time(schedule, time, self._created)
        return sorted(fired)

    def tick(self, until: datetime, move: Callable[[datetime], None] = lambda _: None) -> None:
        """Fire the schedules that are due up to `until`; `move` is told each time first."""
        for time, name in self.due(until):
            move(time)
            target = self.template.of_type("AWS::Scheduler::Schedule")[name]["Target"]
            text = target["Input"].replace(SCHEDULED_TIME, f"{time:%Y-%m-%dT%H:%M:%SZ}")
            self.deliver(self._function_at(target["Arn"]), json.loads(text))
            self.settle()
        self._ticked = until
