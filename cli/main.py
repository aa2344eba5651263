"""Watch the endpoints of a stack, and decide about them.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no answer.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from cli import commands, completion, pages, proxy, sagemaker, training_data
from cli.api import AddressError, RefusedError, UnreachableError, address, api_of
from cli.commands import Session

DONE, REFUSED, UNREACHABLE = 0, 1, 3

VERSION = "20130201T080000Z-1537bccf"
EXAMPLES = {  # what --help of each command ends with, where its name is not enough
    "status": "status flight-delay",
    "versions": "versions flight-delay --status candidate",
    "decisions": "decisions flight-delay --limit 5",
    "explain": "explain flight-delay",
    "replay": "replay 01a2072871c9650410fd45c5f86bb5d7-000",
    "retrain": "retrain flight-delay --wait",
    "upload": "upload flight-delay data.parquet --wait",
    "files": "files flight-delay --remove bad.csv",
    "batch": "batch flight-delay rows.csv --wait",
    "erase": "erase flight-delay --ids ids.txt",
    "open": "open flight-delay --card",
    "clock": "clock +7d",
    "proxy": "proxy --port 8001",
    "import": "import model.joblib --endpoint flight-delay --data newer.parquet --enter",
    "import-captures": "import-captures captured/ --labels truth/ --columns a,b --out mine.csv",
    "approve": 'approve flight-delay --reason "the figures are good"',
    "reject": 'reject flight-delay --reason "the data was broken"',
    "promote": f'promote flight-delay {VERSION} --reason "we know better"',
    "rollback": 'rollback flight-delay --reason "it was a mistake"',
    "pause": 'pause flight-delay --reason "an airport is closed"',
    "resume": 'resume flight-delay --reason "the airport is open"',
    "experiment": "experiment show flight-delay",
    "start": f"experiment start flight-delay {VERSION} --share 0.2 --hypothesis better",
    "show": "experiment show flight-delay",
    "stop": 'experiment stop flight-delay --reason "seen enough"',
}

Adder = Callable[..., argparse.ArgumentParser]


def main() -> None:
    """Run one command, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code; argparse itself ends with 2."""
    arguments = parser().parse_args(words)
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    out = Console(highlight=False, markup=False, emoji=False)
    if arguments.offline:
        return DONE if arguments.command(out, errors, arguments) else REFUSED
    try:
        api = api_of(address(arguments.url, arguments.config_env))
        session = Session(api, out, errors, arguments.json)
        return DONE if arguments.command(session, arguments) else REFUSED
    except RefusedError as error:
        if arguments.json:
            out.print(error.body, soft_wrap=True)
        errors.print(f"Refused: {error}")
        return REFUSED
    except (UnreachableError, AddressError, BotoCoreError, ClientError) as error:
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
    as_it_is, example = argparse.RawDescriptionHelpFormatter, "evergreen status flight-delay"
    made = argparse.ArgumentParser(
        "evergreen", None, __doc__, f"Example: {example}", formatter_class=as_it_is
    )
    made.set_defaults(url=None, config_env="default", json=False, offline=False)
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for each in (made, shared):  # before the command, or after it
        each.add_argument("--url", help="address of the API; else EVERGREEN_URL, else the stack's")
        each.add_argument("--config-env", metavar="NAME", help="environment of samconfig.toml")
        each.add_argument("--json", action="store_true", help="print the API's answer as it is")
    groups = made.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[..., bool], text: str, within: object = groups
    ) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = within.add_parser(  # type: ignore[attr-defined]
            name, parents=[shared], **_said(name, text)
        )
        found.set_defaults(command=command)
        return found

    add("endpoints", commands.endpoints, "list the endpoints and their champions")
    add("console", pages.console, "look at endpoints in a browser, and decide about them")
    completed = add("completion", completion.show, "print what bash and zsh complete")
    completed.set_defaults(offline=True, parser=parser)
    _views(add)
    _actions(add)
    text = "start, show or stop an A/B test"
    experiment = groups.add_parser("experiment", **_said("experiment", text))
    _experiments(add, experiment.add_subparsers(required=True, metavar="COMMAND"))
    return made


def _said(name: str, text: str) -> dict[str, Any]:
    """Return what a command says of itself: in the list of commands, and to --help."""
    example = f"Example: evergreen {EXAMPLES.get(name, name)}"
    return {"help": text, "description": f"{text[0].upper()}{text[1:]}.", "epilog": example}


def _views(add: Adder) -> None:
    text = "show the champion, the evidence, and the next step"
    watched = _of_one(add("status", commands.status, text))
    watched.add_argument("--watch", action="store_true", help="show it every 10 s, until Ctrl-C")
    versions = _of_one(add("versions", commands.versions, "list the versions of an endpoint"))
    versions.add_argument("--status", help="only versions with this status")
    decisions = _of_one(add("decisions", commands.decisions, "show the last decisions"))
    decisions.add_argument("--limit", type=_count, default=20, help="how many")
    explain = _of_one(add("explain", commands.explain, "say why a version serves, or why not"))
    explain.add_argument("--version", help="default: the champion")
    replay = add("replay", commands.replay, "score a recorded prediction again, step by step")
    replay.add_argument("id", metavar="PREDICTION_ID")
    replay.add_argument("--endpoint", help="the one that answered; default: ask each")

    opened = _of_one(add("open", pages.show, "open a page: the model card, or that of a check"))
    which = opened.add_mutually_exclusive_group()
    which.add_argument("--card", nargs="?", const="", help="of this version, or of the champion")
    which.add_argument("--report", action="store_true", help="of the newest check")


def _actions(add: Adder) -> None:
    retrain = _of_one(add("retrain", commands.retrain, "ask for a training run"))
    retrain.add_argument("--wait", action="store_true", help="wait until the training has ended")
    text = "upload a training file, which starts a training run"
    upload = _of_one(add("upload", training_data.upload, text))
    upload.add_argument("file", metavar="FILE", type=Path)
    upload.add_argument("--wait", action="store_true", help="wait until the training has ended")
    text = "list the training files of an endpoint, or take one of them back"
    files = _of_one(add("files", training_data.files, text))
    files.add_argument("--remove", metavar="FILE", help="which no later training shall read")
    scored = _of_one(add("batch", training_data.batch, "score a file, from S3 to S3"))
    scored.add_argument("file", metavar="FILE", type=Path)
    scored.add_argument("--wait", action="store_true", help="wait until the batch has ended")
    text = "erase what a stack has recorded of some predictions, for good"
    erase = _of_one(add("erase", training_data.erase, text))
    erase.add_argument("--ids", metavar="FILE", type=Path, required=True, help="of ids, one a line")
    erase.add_argument("--yes", action="store_true", help="do not ask first")
    text = "take a fitted pipeline of somebody else through the gates, on this machine"
    brought = add("import", training_data.import_model, text)
    brought.set_defaults(offline=True)
    brought.add_argument("file", metavar="FILE", type=Path, help="joblib, skops or MLflow's folder")
    brought.add_argument("--endpoint", required=True, help="whose rows the pipeline reads")
    brought.add_argument("--data", type=Path, help="labelled data, newer than what was fitted on")
    brought.add_argument("--runtime", choices=("onnx", "sklearn"), help="what serves")
    brought.add_argument("--enter", action="store_true", help="enter it in the stack on AWS")
    text = "turn SageMaker Model Monitor's captured JSON lines into a training file"
    found = add("import-captures", sagemaker.import_captures, text)
    found.set_defaults(offline=True)
    found.add_argument("files", metavar="FILE", nargs="+", type=Path, help="or a folder of .jsonl")
    found.add_argument("--labels", type=Path, help="its ground truth; rows without are left out")
    names = lambda text: text.split(",")  # noqa: E731
    found.add_argument("--columns", type=names, help="names of the values of CSV, in order")
    found.add_argument("--out", type=Path, required=True, help="the training file, CSV")
    text = "sign requests that come to this machine, for clients that cannot"
    signs = add("proxy", proxy.proxy, text)
    signs.add_argument("--port", type=int, default=8001, help="where it listens, on 127.0.0.1")
    clock = add("clock", training_data.clock, "show the clock of `make serve`, or move it ahead")
    clock.add_argument("by", nargs="?", default=0.0, type=_time, help="such as +12h, +7d or +2w")
    text = "reject the candidate or the challenger for good"
    approve = _deciding(add("approve", commands.approve, "promote the candidate that waits"))
    for found in (approve, _deciding(add("reject", commands.reject, text))):
        found.add_argument("version", nargs="?", help="default: the one that waits")
    promote = _deciding(add("promote", commands.promote, "promote a version at once"))
    promote.add_argument("version")
    rollback = _deciding(add("rollback", commands.rollback, "return to an earlier champion"))
    rollback.add_argument("version", nargs="?", help="default: the previous champion")
    _deciding(add("pause", commands.pause, "stop triggers and rollout, while predictions go on"))
    _deciding(add("resume", commands.resume, "let triggers and rollout go on"))


def _experiments(add: Adder, within: object) -> None:
    start = add("start", commands.start_experiment, "start an A/B test", within)
    _deciding(start, reason=False)
    start.add_argument("treatment", metavar="VERSION", help="the version to try")
    start.add_argument("--control", help="the version to compare with; default: the champion")
    start.add_argument("--share", type=float, required=True, help="share of requests, 0 to 1")
    start.add_argument("--hypothesis", required=True, help="what the test is to show")
    start.add_argument("--min-rows", type=_count, default=1_000, help="labelled rows for each arm")
    start.add_argument("--days", type=float, default=30.0, help="how long it may take")
    start.add_argument("--promote", action="store_true", help="promote the winner")
    _of_one(add("show", commands.show_experiments, "show experiments, running and past", within))
    _deciding(add("stop", commands.stop_experiment, "end it with its present verdict", within))


def _of_one(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("endpoint")
    return command


def _deciding(command: argparse.ArgumentParser, *, reason: bool = True) -> argparse.ArgumentParser:
    _of_one(command)
    command.add_argument("--reason", required=reason, help="why; stays in the history")
    command.add_argument("--yes", action="store_true", help="do not ask first")
    command.add_argument("--generation", type=_count, help="that you saw; default: the present")
    return command


def _time(text: str) -> float:
    if (match := re.fullmatch(r"\+?(\d+)([mhdw])", text)) is None:
        said = "+30m, +12h, +7d and +2w are, and no clock goes back"
        raise argparse.ArgumentTypeError(f"{text!r} is no time ahead: {said}")
    return float(match[1]) * {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}[match[2]]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
