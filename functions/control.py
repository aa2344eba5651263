"""What people decide about an endpoint, and how they see why it is as it is.

The routes under /control, all but predict's: see http_api.routes. A decision names the generation
of the endpoint document that it was made on, and is refused if the world has moved since.
"""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast, get_args

import bootstrap
from evergreen.aws import place
from evergreen.aws.telemetry import observed
from evergreen.batch.score import runs
from evergreen.captures.search import LABEL, LAST_SECOND, MOST_DAYS, Only, Search, search
from evergreen.contract import endpoint_files, errors, identifiers
from evergreen.contract.errors import Fault, InvalidRequestError
from evergreen.contract.identifiers import PREDICTION, RUN, SECOND, VERSION, check_endpoint_file
from evergreen.monitoring import earlier_checks
from evergreen.pages.summary import headline
from evergreen.registry import explain, run_claims
from evergreen.registry.state import Document
from evergreen.rollout import manual_actions, status
from evergreen.rollout.experiment_metrics import uncounted
from evergreen.rollout.manual_actions import Order
from evergreen.rollout.subject import Subject
from evergreen.serving import replay
from evergreen.serving.model import Model, fetch
from evergreen.training import manifest_builder
from http_api import bodies, dispatch
from http_api.dispatch import MAX_LISTED, Answer, Request, answer
from http_api.routes import ROUTES

HOUR = timedelta(hours=1)
_CHECKS = {"id": PREDICTION, "before": PREDICTION, "version": VERSION, "label": LABEL}
_CHECKED = ("end", "status", "confirmed", "alarms", "rows", "version")  # of a check, in a list


def retrain(request: Request) -> Answer:
    """Ask for a training; the name of its run begins with what is answered."""
    subject, now = _subject(request), datetime.now(UTC)
    check_endpoint_file(subject.name)
    bodies.decoded(request.json_body(), bodies.RetrainAsked)
    run = manual_actions.retrain(subject, caller(request), now)
    return answer(202, {"endpoint": subject.name, "time": now, "run": run})


def _on_version(decide: Callable[[Subject, Order, str], Document], request: Request) -> Answer:
    asked = bodies.decoded(request.json_body(), bodies.VersionAsked)
    return _decided(decide(_subject(request), _order(request, asked), asked.version))


def roll_back(request: Request) -> Answer:
    """Return to the previous champion, or to a retired version."""
    asked = bodies.decoded(request.json_body(), bodies.RollbackAsked)
    subject, order = _subject(request), _order(request, asked)
    return _decided(manual_actions.roll_back(subject, order, asked.version))


def _on_endpoint(decide: Callable[[Subject, Order], Document], request: Request) -> Answer:
    order = _order(request, bodies.decoded(request.json_body(), bodies.Asked))
    return _decided(decide(_subject(request), order))


def start_experiment(request: Request) -> Answer:
    """Begin an A/B test between two versions that can answer the same requests."""
    asked = bodies.decoded(request.json_body(), bodies.ExperimentAsked)
    reason = asked.reason or asked.hypothesis
    order = Order(asked.generation, caller(request), reason, datetime.now(UTC))
    return _decided(manual_actions.start_experiment(_subject(request), order, asked))


def experiments(request: Request) -> Answer:
    """Show the A/B test that runs with its statistics so far, and the verdicts of those before."""
    subject = _subject(request)
    document = subject.seen().document
    evidence = subject.evidence(document, datetime.now(UTC))
    running = status.running(document, evidence, subject.policy)
    if running and document.experiment:
        days, now = subject.policy.label_days, datetime.now(UTC)
        running["uncounted"] = uncounted(subject.data, subject.name, document.experiment, days, now)
    past = explain.experiments(subject.registry.history(document, MAX_LISTED))
    return answer(200, {"endpoint": subject.name, "running": running, "past": past})


def show_status(request: Request) -> Answer:
    """Show the document, the evidence so far, and what would be next.

    ?evidence=no leaves out what takes long; ?run=name adds how that training run goes, ?run=newest
    the last one, and ?uploaded=time the first one that an upload has started since then. With one
    of these an endpoint without champion has no document. ?batch=name-hash adds how a file is
    scored.
    """
    wanted, run, uploaded = request.query, request.query.get("run"), request.query.get("uploaded")
    if wanted.get("evidence", "yes") not in ("yes", "no"):
        raise InvalidRequestError([Fault("?evidence", "expected yes or no")])
    if run is not None and not RUN.fullmatch(run):
        raise InvalidRequestError([Fault("?run", "expected the beginning of a run's name")])
    if uploaded is not None and not SECOND.fullmatch(uploaded):
        raise InvalidRequestError([Fault("?uploaded", "expected a time such as 20130201T080000Z")])
    if (batch := wanted.get("batch")) is not None and not re.fullmatch(r"[\w.-]{1,400}", batch):
        raise InvalidRequestError([Fault("?batch", "expected a folder, as file.csv-0123456789ab")])
    subject = _subject(request)
    runs_of = subject.registry.store, subject.name
    try:
        document = subject.seen().document
    except errors.NoChampionError:
        if run is None and uploaded is None:
            raise
        document = None
    body: dict[str, Any] = {"document": document}
    if document and wanted.get("evidence") != "no":
        evidence, newest = (
            subject.evidence(document, datetime.now(UTC)),
            run_claims.newest(*runs_of),
        )
        body |= status.seen(document, evidence, subject.policy, subject.level, newest)
    if run == "newest":
        body["run"] = run_claims.newest(*runs_of)
    elif run is not None:
        body["run"] = run_claims.find(*runs_of, run)
    elif uploaded is not None:
        body["run"] = run_claims.find_upload(*runs_of, uploaded)
    if batch is not None:
        body["batches"] = runs(subject.data, f"batch/out/{subject.name}/{batch}/")
    return answer(200, body)


def overview(request: Request) -> Answer:
    """List the endpoints, in pages, each with what its newest check found."""
    registry, data, now = bootstrap.registry(), bootstrap.data(), datetime.now(UTC)

    def listed(name: str) -> dict[str, Any]:
        try:
            seen, report = registry.document(name), earlier_checks.previous(data, name, now + HOUR)
        except errors.EvergreenError as error:  # it hides no other
            return {"endpoint": name, "error": dispatch.described(error)}
        check = report and {name: getattr(report, name) for name in _CHECKED}
        said = {"check": check, "says": headline(report) if report else None}
        return {"endpoint": name, "document": seen and seen.document} | said

    names, end = dispatch.page_of(request, registry.endpoints())
    found = {"endpoints": dispatch.each(listed, names), "next": end}
    return answer(200, found | {"level": int(os.environ["MATURITY_LEVEL"]), "time": now})


def newest_check(request: Request) -> Answer:
    """Show the report of the newest check, and what it says in a sentence."""
    subject, now = _subject(request), datetime.now(UTC)
    check_endpoint_file(subject.name)
    report = earlier_checks.previous(subject.data, subject.name, now + HOUR)
    said = headline(report) if report else None
    found = {"endpoint": subject.name, "report": report, "says": said}
    return answer(200, found | {"level": subject.level})


def predictions(request: Request) -> Answer:
    """Search the recorded predictions, newest first; next: what ?before= takes for the others."""
    subject, query = _subject(request), request.query
    check_endpoint_file(subject.name)
    now = datetime.now(UTC)
    until = request.number("until", int(now.timestamp()) + 1, LAST_SECOND)
    for name, pattern in _CHECKS.items():
        if name in query and not pattern.fullmatch(query[name]):
            raise InvalidRequestError([Fault(f"?{name}", f"expected {pattern.pattern}")])
    if query.get("only", "wrong") not in (known := get_args(Only)):
        raise InvalidRequestError([Fault("?only", f"is none of {', '.join(known)}")])
    at = datetime.fromtimestamp(until, UTC)
    wanted = Search(
        until=replay.time_of(query["id"], now) + HOUR if "id" in query else at,
        days=request.number("days", 7, MOST_DAYS),
        limit=request.limit(50),
        only=cast("Only | None", query.get("only")),
        **{name: query.get(name) for name in _CHECKS},
    )
    found, more = search(subject.data, subject.name, wanted, subject.policy.label_days)
    last = found[-1].id if more else None
    return answer(200, {"endpoint": subject.name, "predictions": found, "next": last})


def decisions(request: Request) -> Answer:
    """Show the last decisions, oldest first."""
    limit, subject = request.limit(50), _subject(request)
    found = subject.registry.history(subject.seen().document, limit)[-limit:]
    return answer(200, {"endpoint": subject.name, "decisions": found})


def decision(request: Request) -> Answer:
    """Show one decision."""
    text = request.parameters["generation"]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidRequestError([Fault("generation", "expected a whole number")])
    subject, generation = _subject(request), int(text)
    document = subject.seen().document
    if generation == document.generation:
        return answer(200, document.last)
    found = subject.registry.decision(subject.name, generation) if generation > 0 else None
    if found is None:
        raise errors.UnknownDecisionError(subject.name, generation)
    return answer(200, found)


def explained(request: Request) -> Answer:
    """Say why a version serves, or why it does not; the champion where none is named."""
    subject, version = _subject(request), request.query.get("version")
    document, day = subject.seen().document, request.time.date()
    return answer(200, explain.explain(subject.registry, document, version, day))


def prediction(request: Request) -> Answer:
    """Replay one prediction."""
    subject, wanted = _subject(request), request.parameters["id"]
    check_endpoint_file(subject.name)
    captures = replay.request_of(subject.data, subject.name, wanted, datetime.now(UTC))
    runtime, libraries = os.environ["SERVING_RUNTIME"], manifest_builder.libraries()
    return answer(200, replay.replay(subject.registry, captures, wanted, runtime, libraries))


# What all of them need


def caller(request: Request) -> str:
    """Return ARN and id of who signed, or whom a token names; `local` on one's own machine."""
    authorizer = request.event["requestContext"].get("authorizer") or {}
    signer, token = authorizer.get("iam") or {}, (authorizer.get("jwt") or {}).get("claims") or {}
    if signer.get("userArn"):
        return f"{signer['userArn']} ({signer.get('userId')})"
    if "sub" not in token and place.in_an_account():
        raise errors.UnsignedError("nobody signed this request: its route must ask who it is")
    return str(token.get("sub") or "local")


def _subject(request: Request) -> Subject:
    caller(request)  # whoever did not sign sees nothing either
    endpoint, registry = request.parameters["endpoint"], bootstrap.registry(writes=True)
    identifiers.check_endpoint_name(endpoint)

    def load(version: str) -> Model:
        return fetch(registry, registry.known(endpoint, version), os.environ["SERVING_RUNTIME"])

    return Subject(
        name=endpoint, read_policy=lambda: endpoint_files.load(endpoint).policy,
        registry=registry, data=bootstrap.data(), bus=bootstrap.events(), load=load,
        level=int(os.environ["MATURITY_LEVEL"]),
        recalibration=os.environ["RECALIBRATION"] == "on",
    )  # fmt: skip


def _order(request: Request, asked: bodies.Asked) -> Order:
    return Order(asked.generation, caller(request), asked.reason, datetime.now(UTC))


def _decided(document: Document) -> Answer:
    decided = {"generation": document.generation, "decision": document.last}
    return answer(200, {"endpoint": document.endpoint} | decided)


OPERATIONS = dispatch.operations(
    retrain, roll_back, start_experiment, experiments, show_status, decisions, decision, explained,
    prediction, overview, newest_check, predictions,
) | {
    "approve": partial(_on_version, manual_actions.approve),
    "reject": partial(_on_version, manual_actions.reject),
    "promote": partial(_on_version, manual_actions.promote),
    "pause": partial(_on_endpoint, partial(manual_actions.switch, to="paused")),
    "resume": partial(_on_endpoint, partial(manual_actions.switch, to="resumed")),
    "stop_experiment": partial(_on_endpoint, manual_actions.stop_experiment),
}  # fmt: skip


@observed
def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request."""
    return dispatch.respond(ROUTES["control"], OPERATIONS, event, context)
