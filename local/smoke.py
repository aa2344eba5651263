"""Ask an API one thing of each kind, with signed requests, and say what does not hold.

It leaves no trace in what is learned: its rows are asked of one version, which drift checks do not
count, and it reports no outcome, so that training never sees them.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import exceptions

from cli.api import AddressError, Api, api_of
from local import command_line
from local.template import ROOT

BODIES = ROOT / "events" / "bodies"  # one for each endpoint
FAULTY_ROW = b'{"instances": [{"no-such-field": 1}]}'
FAULTY_LABEL = b'{"labels": [{"id": "no-id", "label": null}]}'  # of no kind of problem
NO_STATUS = "/control/endpoints/no-such-endpoint/status"
OK, FAILED, NO_CHAMPION = "ok", "FAILED", "no champion"


def main() -> None:
    """Check, and end with 1 if anything does not hold."""
    parser = command_line.parser("local.smoke", __doc__, "make smoke URL=https://…")
    parser.add_argument("--url", required=True, help="the output ApiUrl of the stack")
    parser.add_argument("--endpoint", required=True, help="which one to ask")
    parser.add_argument("--body", type=Path, help="a predict request to send, JSON")
    parser.add_argument("--allow-no-champion", action="store_true", help="nothing is trained yet")
    arguments = parser.parse_args()
    endpoint, usual = arguments.endpoint, BODIES / f"{arguments.endpoint}.json"
    file = arguments.body or (usual if usual.is_file() else None)
    try:
        api = api_of(arguments.url)
        body = file.read_bytes() if file else None
        print(f"Asking {api.url} for {endpoint}, {api.how}.", flush=True)
        if body is None:
            print("No prediction is asked for: there is no request to send, BODY=file.json.")
        outcomes = ask_all(api, endpoint, body)
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        hint = "is `make serve` ready there, or is it the output ApiUrl of a stack that exists?"
        sys.exit(f"{error}\n→ {arguments.url} does not answer: {hint}")
    except (AddressError, exceptions.BotoCoreError, OSError) as error:
        sys.exit(str(error))
    print(f"{sum(one.verdict == OK for one in outcomes)} of {len(outcomes)} checks hold.")
    if advice := advice_on(outcomes, endpoint):
        print(f"→ {advice}")
    allowed = {OK, NO_CHAMPION} if arguments.allow_no_champion else {OK}
    sys.exit(0 if {one.verdict for one in outcomes} <= allowed else 1)


@dataclass(frozen=True)
class Check:
    """A request, what must come back, and what reads that: an error it raises is what is wrong."""

    method: str
    path: str
    status: int
    read: Callable[[Any], str]
    body: bytes | None = None
    signed: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a check."""

    check: Check
    status: int
    verdict: str
    note: str


def ask_all(api: Api, endpoint: str, body: bytes | None) -> list[Outcome]:
    """Make every check; without a body or a champion no prediction is asked for."""
    path = f"/endpoints/{endpoint}"
    shown = ask(api, Check("GET", path, 200, lambda it: str(it["champion"])))
    in_row = refusal("invalid_request", "$.instances[0].no-such-field")
    in_label = refusal("invalid_request", "$.labels[0].id", "$.labels[0].label")
    checks = [
        Check("GET", "/endpoints", 200, lambda it: f"{len(it['endpoints'])} with a champion"),
        Check("GET", "/endpoints/no-such-endpoint", 404, refusal("unknown_endpoint")),
        # of the image, which is another package than what answers the rest
        Check("GET", NO_STATUS, 404, refusal("unknown_endpoint")),
        Check("POST", f"{path}/predict", 400, in_row, FAULTY_ROW),
        Check("POST", f"{path}/feedback", 400, in_label, FAULTY_LABEL),
    ]
    if body and shown.verdict == OK:
        checks.append(prediction(path, shown.note, body))
    if api.signature:
        checks.append(Check("GET", path, 403, lambda _: "refused unsigned", signed=False))
    return [shown, *(ask(api, check) for check in checks)]


def prediction(path: str, champion: str, body: bytes) -> Check:
    """Ask the champion by its id: such predictions do not count for drift."""

    def read(answer: Any) -> str:
        found, count = answer["predictions"], len(json.loads(body)["instances"])
        ids, scores = {one["id"] for one in found}, [one["score"] for one in found]
        if answer["version"] != champion or len(ids) != count:
            raise ValueError(f"not {count} predictions of {champion}")
        return "scores " + ", ".join(f"{score:.4f}" for score in scores[:3])

    return Check("POST", f"{path}/predict?version={champion}", 200, read, body=body)


def refusal(code: str, *faults: str) -> Callable[[Any], str]:
    """Return what reads an error, which must have this code and name these faults."""

    def read(answer: Any) -> str:
        error, said = answer["error"], " ".join([code, *faults])
        told = {fault["path"] for fault in error.get("faults", ())}
        if error["code"] != code or not told.issuperset(faults):
            raise ValueError(f"not {said}")
        return said

    return read


def ask(api: Api, check: Check) -> Outcome:
    """Send a check's request, judge the answer, and print a line about both."""
    begun = time.perf_counter()
    status, content = api.send(check.method, check.path, check.body, signed=check.signed)
    took = f"{status}  {1000 * (time.perf_counter() - begun):>6.0f} ms"
    verdict, note = judge(check, status, content)
    print(f"{verdict:<11}  {took}  {check.method} {check.path}: {note}", flush=True)
    return Outcome(check, status, verdict, note)


def judge(check: Check, status: int, body: bytes) -> tuple[str, str]:
    """Return the verdict on an answer, and what to show of it."""
    text = " ".join(body[:300].decode(errors="replace").split())
    if status == 503 and b'"no_champion"' in body:
        return NO_CHAMPION, text
    if status != check.status:
        return FAILED, f"{check.status} was expected: {text}"
    try:
        return OK, check.read(json.loads(body))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return FAILED, f"{error!r}: {text}"


def advice_on(outcomes: list[Outcome], endpoint: str) -> str:
    """Return what to do about what does not hold."""
    failed = [one for one in outcomes if one.verdict == FAILED]
    if any(one.status == 403 and one.check.signed for one in failed):
        return "Who signs needs execute-api:Invoke on this API, and credentials that are valid."
    if any(not one.check.signed for one in failed):
        return "Without a signature it must refuse: its authorizer is AWS_IAM in template.yaml."
    if any(one.status >= 500 for one in failed):
        return "The functions' logs say more: their log groups, or build/serve/lambda.log."
    if any(one.verdict == NO_CHAMPION for one in outcomes):
        return f"Put training data into training/{endpoint}/ of the data bucket; then ask again."
    return ""


if __name__ == "__main__":
    main()
