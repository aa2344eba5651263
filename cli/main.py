"""Watch endpoints, and decide about them: `evergreen status flight-delay`.

Exit codes: 0 done, 1 refused, 2 not understood, 3 nobody answers.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from cli import commands
from cli.api import AddressError, RefusedError, UnreachableError, address, api_of
from cli.commands import Session

DONE, REFUSED, UNREACHABLE = 0, 1, 3

Adder = Callable[..., argparse.ArgumentParser]


def main() -> None:
    """Run one command, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code; argparse itself ends with 2."""
    arguments = parser().parse_args(words)
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    out = Console(highlight=False, markup=False, emoji=False)
    try:
        api = api_of(address(arguments.url, arguments.config_env))
        session = Session(api, out, errors, arguments.json)
        return DONE if arguments.command(session, arguments) else REFUSED
    except RefusedError as error:
        if arguments.json:
            out.print(error.body, soft_wrap=True)
        errors.print(f"Refused: {error}")
        return REFUSED
    except (UnreachableError, AddressError) as error:
        errors.print(str(error))
        return UNREACHABLE
    except KeyboardInterrupt:
        errors.print("\nStopped; what had been asked for may go on.")
        return REFUSED
    except BrokenPipeError:  # who reads has seen enough
        sys.stderr.close()
        return DONE


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="evergreen", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.set_defaults(url=None, config_env="default", json=False)
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for each in (made, shared):  # before the command, or after it
        each.add_argument("--url", help="of the API; else EVERGREEN_URL, else that of the stack")
        each.add_argument("--config-env", metavar="NAME", help="of samconfig.toml, for the stack")
        each.add_argument("--json", action="store_true", help="print the answer as it comes")
    groups = made.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[..., bool], text: str, within: object = groups
    ) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = within.add_parser(  # type: ignore[attr-defined]
            name, parents=[shared], help=text, description=text
        )
        found.set_defaults(command=command)
        return found

    add("endpoints", commands.endpoints, "list the endpoints and their champions")
    _views(add)
    _actions(add)
    experiment = groups.add_parser("experiment", help="begin, look at or stop an A/B test")
    _experiments(add, experiment.add_subparsers(required=True, metavar="COMMAND"))
    return made


def _views(add: Adder) -> None:
    _of_one(add("status", commands.status, "show the champion, the evidence, and what comes next"))
    versions = _of_one(add("versions", commands.versions, "list the versions of an endpoint"))
    versions.add_argument("--status", help="only those that are this, such as candidate")
    decisions = _of_one(add("decisions", commands.decisions, "show the last decisions"))
    decisions.add_argument("--limit", type=_count, default=20, help="how many")
    explain = _of_one(add("explain", commands.explain, "say why a version serves, or does not"))
    explain.add_argument("--version", help="the champion if it is not given")
    replay = add("replay", commands.replay, "score a recorded prediction again, step by step")
    replay.add_argument("id", metavar="PREDICTION_ID")
    replay.add_argument("--endpoint", help="that answered it; else each is asked")


def _actions(add: Adder) -> None:
    retrain = _of_one(add("retrain", commands.retrain, "ask for a training"))
    retrain.add_argument("--wait", action="store_true", help="until it has ended")
    for name, command, text in (
        ("approve", commands.approve, "promote the candidate that waits"),
        ("reject", commands.reject, "reject the candidate or the challenger"),
    ):
        found = _deciding(add(name, command, text))
        found.add_argument("version", nargs="?", help="the one that waits if it is not given")
    promote = _deciding(add("promote", commands.promote, "promote a candidate or challenger"))
    promote.add_argument("version")
    rollback = _deciding(add("rollback", commands.rollback, "return to an earlier champion"))
    rollback.add_argument("version", nargs="?", help="the one before if it is not given")
    _deciding(add("pause", commands.pause, "stop triggers and rollout; predictions go on"))
    _deciding(add("resume", commands.resume, "let triggers and rollout go on"))


def _experiments(add: Adder, within: object) -> None:
    start = _deciding(
        add("start", commands.start_experiment, "begin an A/B test", within), reason=False
    )
    start.add_argument("treatment", metavar="VERSION", help="what is tried")
    start.add_argument("--control", help="beside what: the champion if it is not given")
    start.add_argument("--share", type=float, required=True, help="of the requests, 0 to 1")
    start.add_argument("--hypothesis", required=True, help="what it is to show")
    start.add_argument("--min-rows", type=_count, default=1_000, help="labelled, for each arm")
    start.add_argument("--days", type=float, default=30.0, help="at most")
    start.add_argument("--promote", action="store_true", help="the treatment if it wins")
    _of_one(add("show", commands.show_experiments, "show the one that runs, and the past", within))
    _deciding(add("stop", commands.stop_experiment, "end it with the verdict of now", within))


def _of_one(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("endpoint")
    return command


def _deciding(command: argparse.ArgumentParser, *, reason: bool = True) -> argparse.ArgumentParser:
    _of_one(command)
    if reason:
        command.add_argument("--reason", required=True, help="why; it is kept for good")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--generation", type=_count, help="that was decided on; else the present")
    return command


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
