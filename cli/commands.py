"""What each command asks of the API; it returns whether it was done."""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli import consequences, shown
from cli.api import Api, RefusedError

POLL_SECONDS = 2.0
WATCH_SECONDS = 10.0
RUN_SECONDS = 30 * 60  # two attempts of a Lambda function
WAITING = ("candidate", "shadow", "canary")
EXPERIMENT = ("treatment", "control", "share", "hypothesis", "min_rows", "days", "promote")
ENDED_WELL = ("promoted", "entered")


@dataclass(frozen=True)
class Session:
    """Whom to ask, and where answers and everything else are printed."""

    api: Api
    out: Console
    errors: Console
    json: bool

    def get(self, *path: str, **query: str) -> Any:
        """Return an answer; a person is shown that it takes a while."""
        with self.errors.status("Asking …"):
            return self.api.get(*path, **query)

    def show(self, answer: Any, table: Any) -> bool:
        """Print an answer: as it is, or what `table` makes of it."""
        if self.json:
            self.out.print(json.dumps(answer, indent=2, default=str), soft_wrap=True)
        else:
            self.out.print(table(answer))
        return True


Command = Callable[[Session, Namespace], bool]


def endpoints(session: Session, _: Namespace) -> bool:
    """List the endpoints."""
    return session.show({"endpoints": _endpoints(session)}, shown.endpoints)


def _endpoints(session: Session) -> list[Any]:
    page = session.get("endpoints")
    found = list(page["endpoints"])
    while page.get("next"):
        page = session.get("endpoints", next=page["next"])
        found += page["endpoints"]
    return found


def versions(session: Session, asked: Namespace) -> bool:
    """List the versions of an endpoint."""
    query = {"status": asked.status} if asked.status else {}
    answer = session.get("endpoints", asked.endpoint, "versions", **query)
    return session.show(answer, shown.versions)


def view(show: Callable[[Any], RenderableType], path: str, option: str = "") -> Command:
    """Return the command that shows what the API says of an endpoint at a path.

    option: is passed on, where it was given.
    """

    def command(session: Session, asked: Namespace) -> bool:
        given = getattr(asked, option, None)
        query = {option: str(given)} if given else {}
        return session.show(session.get(*_path(asked, path), **query), show)

    return command


def status(session: Session, asked: Namespace) -> bool:
    """Show how an endpoint stands; with --watch again and again, until Ctrl-C."""
    show = view(shown.status, "status")
    while show(session, asked) and asked.watch:
        time.sleep(WATCH_SECONDS)
        session.out.clear()
    return True


decisions = view(shown.decisions, "decisions", "limit")
explain = view(shown.explanation, "explain", "version")
show_experiments = view(shown.experiments, "experiments")


def replay(session: Session, asked: Namespace) -> bool:
    """Replay a prediction; False where the score came out otherwise."""
    found = _replayed(session, asked)
    session.show(found, shown.replay)
    return found["identical"] is not False


def _replayed(session: Session, asked: Namespace) -> Any:
    """Ask the endpoint that is named, or one after the other until one knows the prediction."""
    if asked.endpoint:
        return session.get(*_path(asked, "predictions"), asked.id)
    unknown = RefusedError(404, "", "there is no endpoint that could have answered it")
    for one in _endpoints(session):
        try:
            return session.get("control", "endpoints", one["endpoint"], "predictions", asked.id)
        except RefusedError as error:
            if error.code not in ("unknown_prediction", "unknown_endpoint"):
                raise
            unknown = error
    raise unknown


def retrain(session: Session, asked: Namespace) -> bool:
    """Ask for a training, and wait for it if that is wanted."""
    answer = session.api.post(*_path(asked, "retrain"))
    if not asked.wait:
        return session.show(answer, shown.asked_for)
    return outcome(session, asked, run=answer["run"])


def outcome(session: Session, asked: Namespace, **which: str) -> bool:
    """Wait for a run, show it, and say whether it ended well."""
    if (run := _waited(session, asked, **which)) is None:
        session.errors.print("The training has not ended: look with `evergreen status`")
        return False
    session.show(run, shown.run)
    return run["outcome"] in ENDED_WELL


def _waited(session: Session, asked: Namespace, **which: str) -> Any:
    """Return the run once it has ended, or None where that takes too long."""
    with _waiting_for(session, "training") as progress:
        until = time.monotonic() + RUN_SECONDS
        while time.monotonic() < until:
            run = session.api.get(*_path(asked, "status"), evidence="no", **which)["run"]
            if run and run["outcome"]:
                return run
            if run:
                progress.update(TaskID(0), description=f"{run['run']} trains")
            time.sleep(POLL_SECONDS)
    return None


def summary(session: Session, asked: Namespace, folder: str, at: datetime) -> bool:
    """Wait for the summary of a batch that began after `at`, and say whether it is complete."""
    with _waiting_for(session, "batch") as progress:
        until, done = time.monotonic() + RUN_SECONDS, -1
        while time.monotonic() < until:
            body = session.api.get(*_path(asked, "status"), evidence="no", batch=folder)
            for run in body["batches"]:
                if datetime.fromisoformat(run["begun"]) < at:
                    continue
                if run["status"] != "running":
                    session.out.print(json.dumps(run["summary"], indent=2), soft_wrap=True)
                    return bool(run["status"] == "complete")
                if run["done"] > done:
                    until, done = time.monotonic() + RUN_SECONDS, run["done"]
                of = {"completed": done, "total": run["chunks"]}
                progress.update(TaskID(0), description="scores", **of)
            time.sleep(POLL_SECONDS)
    session.errors.print("Nothing was scored for half an hour: was the batch cancelled?")
    return False


def _waiting_for(session: Session, what: str) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    progress = Progress(*columns, console=session.errors, transient=True)
    progress.add_task(f"waiting for the {what} to begin", total=None)
    return progress


def approve(session: Session, asked: Namespace) -> bool:
    """Promote the candidate that waits."""
    document = _document(session, asked)
    if (version := asked.version or _waiting(document, "candidate")) is None:
        session.errors.print(f"Refused: no candidate of {asked.endpoint} waits for approval")
        return False
    return _decide(session, asked, document, "approve", version=version)


def reject(session: Session, asked: Namespace) -> bool:
    """Reject the candidate or the challenger."""
    document = _document(session, asked)
    if (version := asked.version or _waiting(document, *WAITING)) is None:
        waiting = [v for v, status in document["statuses"].items() if status in WAITING]
        what = f"name one of {', '.join(waiting)}" if waiting else "there is nothing to reject"
        session.errors.print(f"Refused: {asked.endpoint}: {what}")
        return False
    return _decide(session, asked, document, "reject", version=version)


def change(action: str) -> Command:
    """Return the command that decides about an endpoint as it stands, or about a version of it."""

    def command(session: Session, asked: Namespace) -> bool:
        version = getattr(asked, "version", None)
        named = {"version": version} if version else {}
        return _decide(session, asked, _document(session, asked), action, **named)

    return command


promote, rollback = change("promote"), change("rollback")
pause, resume, stop_experiment = map(change, ("pause", "resume", "experiments/stop"))


def start_experiment(session: Session, asked: Namespace) -> bool:
    """Begin an A/B test."""
    document = _document(session, asked)
    control = asked.control or document["champion"]
    share = f"{asked.share:.0%} of the requests, {asked.days:g} days at most"
    text = f"start an experiment: {asked.treatment} against {control}, {share}"
    body = {name: getattr(asked, name) for name in EXPERIMENT}
    return _decide(session, asked, document, "experiments", text, **body)


# What decisions share


def _path(asked: Namespace, *more: str) -> tuple[str, ...]:
    return ("control", "endpoints", asked.endpoint, *more)


def _document(session: Session, asked: Namespace) -> Any:
    return session.get(*_path(asked, "status"), evidence="no")["document"]


def _waiting(document: Any, *statuses: str) -> str | None:
    found = [name for name, status in document["statuses"].items() if status in statuses]
    return found[0] if len(found) == 1 else None


def _decide(
    session: Session, asked: Namespace, document: Any, action: str, text: str = "", **body: Any
) -> bool:
    """Say what will happen, ask, and post the decision on the generation that was shown."""
    generation = asked.generation or document["generation"]
    if asked.reason:
        body["reason"] = asked.reason
    if not asked.yes:
        session.errors.print(shown.standing(document))
        session.errors.print(f"→ {text or consequences.of(action, document, body.get('version'))}")
        if not agreed(session):
            session.errors.print("Nothing was changed.")
            return False
    answer = session.api.post(*_path(asked, *action.split("/")), generation=generation, **body)
    return session.show(answer, shown.decided)


def agreed(session: Session) -> bool:
    """Ask a person whether to go on."""
    try:
        return session.errors.input("Go on? [y/N] ", markup=False).strip().lower() in ("y", "yes")
    except EOFError:
        session.errors.print("\nNobody is here to ask: say --yes.")
        return False
