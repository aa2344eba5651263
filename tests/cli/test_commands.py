"""The command `evergreen` against a real local server: what it prints, and what it ends with."""

import io
import json
import subprocess
import sys
import time
import webbrowser
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from cli import commands, completion, consequences, main, pages, training_data
from cli.api import Api
from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.serving.model import ONNX
from evergreen.training.tables import folders
from http_api.dispatch import Request
from local import serve
from local.demo.by_hand import ByHand
from local.plane.plane import Plane
from local.template import ROOT
from tests.support import given
from tests.support.candidates import ONE, THREE, TWO, document
from tests.support.given import NAME
from tests.support.registries import registry_of
from tests.support.servers import Answered, Asked, listening

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
JSON = {"Content-Type": "application/json"}
WHY = ("--reason", "because", "--yes")
START = ("experiment", "start", NAME, TWO, "--share", "0.5", "--hypothesis", "two is better")


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("EVERGREEN_URL", url)

    def command(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = main.run(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


# Views


def test_endpoints_are_listed_with_what_goes_on_there(run: Run, candidate: Manifest) -> None:
    run("pause", NAME, "--reason", "holidays", "--yes")

    code, out, _ = run("endpoints")

    assert code == 0
    assert NAME in out
    assert ONE in out
    assert "paused: holidays" in out


def test_endpoints_of_all_pages_are_listed(
    run: Run, champion: Manifest, artifacts: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = msgspec.structs.replace(given.document(ONE), endpoint=f"{NAME}-2")
    registry_of(artifacts).write_document(other, None)
    monkeypatch.setattr(Request, "limit", lambda *_: 1)

    code, out, _ = run("endpoints", "--json")

    assert code == 0
    assert [one["endpoint"] for one in json.loads(out)["endpoints"]] == [NAME, f"{NAME}-2"]


def test_versions_are_listed_and_chosen_by_status(run: Run, candidate: Manifest) -> None:
    assert all(text in run("versions", NAME)[1] for text in (ONE, TWO, "champion", "candidate"))
    _, out, _ = run("versions", NAME, "--status", "candidate")

    assert TWO in out
    assert ONE not in out


def test_the_status_says_who_is_champion_and_what_is_waited_for(
    run: Run, candidate: Manifest
) -> None:
    code, out, _ = run("status", NAME)

    assert code == 0
    assert f"{NAME}, generation 2: champion {ONE} since 2013-02-01 12:00 UTC" in out
    assert f"Waits: candidate {TWO}" in out


@pytest.mark.parametrize(
    "words",
    [
        ("endpoints",),
        ("versions", NAME),
        ("status", NAME),
        ("decisions", NAME),
        ("explain", NAME),
        ("experiment", "show", NAME),
        ("retrain", NAME),
        ("pause", NAME, *WHY),
        ("approve", NAME, *WHY),
    ],
)
def test_json_is_the_answer_as_it_came(
    run: Run, candidate: Manifest, words: tuple[str, ...]
) -> None:
    code, out, _ = run(*words, "--json")

    assert code == 0
    assert isinstance(json.loads(out), dict)


def test_json_of_a_refusal_is_the_answer_as_it_came(run: Run, champion: Manifest) -> None:
    code, out, err = run("--json", "resume", NAME, *WHY)

    assert code == 1
    assert json.loads(out)["error"]["code"] == "forbidden"
    assert "it is not paused" in err


def test_decisions_and_their_explanation_say_who_decided_what_and_why(
    run: Run, candidate: Manifest
) -> None:
    run("approve", NAME, "--reason", "looks good", "--yes")

    listed = run("decisions", NAME)[1]
    explained = run("explain", NAME)[1]
    former = run("explain", NAME, "--version", ONE)[1]

    assert all(text in listed for text in ("candidate entered", "promoted", "local", "looks good"))
    assert f"{TWO} is the champion of {NAME}" in explained
    assert "by local: looks good." in " ".join(explained.split())
    assert f"{ONE} does not serve" in former


# Decisions


def test_a_decision_is_shown_and_asked_for_before_it_is_made(
    run: Run, candidate: Manifest, registry: Registry
) -> None:
    words = ("approve", NAME, "--reason", "good")

    for typed in ("n\n", "\n", ""):
        code, _, err = run(*words, typed=typed)
        assert (code, document(registry).champion) == (1, ONE)
        assert f"→ approve {TWO}: it becomes champion, {ONE} retires" in err
        assert "Go on? [y/N]" in err
        assert "Nothing was changed." in err
    code, out, _ = run(*words, typed="y\n")

    assert (code, document(registry).champion) == (0, TWO)
    assert f"Done: promoted, {TWO}, generation 3" in out


@pytest.mark.parametrize(
    ("words", "champion_then"),
    [
        (("approve", NAME, TWO), TWO),
        (("promote", NAME, TWO), TWO),
        (("reject", NAME), ONE),
        (("reject", NAME, TWO), ONE),
        (("pause", NAME), ONE),
    ],
)
def test_each_decision_is_made(
    run: Run, candidate: Manifest, registry: Registry, words: tuple[str, ...], champion_then: str
) -> None:
    code, _, _ = run(*words, *WHY)

    assert code == 0
    assert (document(registry).generation, document(registry).champion) == (3, champion_then)


def test_a_rollback_goes_back_and_a_pause_ends(
    run: Run, candidate: Manifest, registry: Registry
) -> None:
    run("promote", NAME, TWO, *WHY)

    assert run("rollback", NAME, *WHY)[0] == 0
    assert run("pause", NAME, *WHY)[0] == 0
    assert run("resume", NAME, *WHY)[0] == 0

    assert (document(registry).champion, document(registry).paused) == (ONE, None)


def test_an_experiment_begins_is_shown_and_stops(
    run: Run, candidate: Manifest, registry: Registry
) -> None:
    assert run(*START, "--min-rows", "10", "--days", "5", "--yes")[0] == 0
    assert document(registry).arms == {TWO: 0.5}
    assert "two is better" in run("experiment", "show", NAME)[1]

    code, out, _ = run("experiment", "stop", NAME, *WHY)

    assert code == 0
    assert "inconclusive" in out
    shown = run("experiment", "show", NAME)[1]
    assert "No experiment is running." in shown
    assert "inconclusive" in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("promote", NAME, THREE, *WHY), "has no version"),
        (("promote", NAME, ONE, *WHY), "only a version that is"),
        (("rollback", NAME, *WHY), "name a retired version"),
        (("resume", NAME, *WHY), "it is not paused"),
        (("experiment", "stop", NAME, *WHY), "no experiment is running"),
        ((*START, "--share", "2", "--yes"), "$.share"),
        ((*START, "--control", TWO, "--yes"), "two different versions"),
        (("approve", NAME, *WHY, "--generation", "1"), "moved on from generation 1"),
        (("status", "no-such-endpoint"), "there is no endpoint"),
        (("versions", NAME, "--status", "best"), "champion"),
        (("explain", NAME, "--version", THREE), "has no version"),
        (("replay", "x"), "id of a prediction"),
        (("replay", "0" * 32 + "-000"), "has no recorded prediction"),
    ],
)
def test_what_is_refused_ends_with_1_and_the_reason(
    run: Run, candidate: Manifest, registry: Registry, words: tuple[str, ...], reason: str
) -> None:
    before = document(registry)

    code, out, err = run(*words)

    assert code == 1
    assert reason in " ".join(err.split())
    assert out == ""
    assert document(registry) == before


def test_a_corrupt_version_is_refused_with_the_reason(
    run: Run, candidate: Manifest, artifacts: Store
) -> None:
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"something else")

    code, _, err = run("approve", NAME, *WHY)

    assert code == 1
    assert "nothing was deserialized" in err


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_where_nothing_waits_nothing_can_be_approved_or_rejected(
    run: Run, champion: Manifest, action: str
) -> None:
    assert run(action, NAME, *WHY)[0] == 1


# Training


def test_a_training_can_be_waited_for(
    run: Run,
    champion: Manifest,
    quick: None,
    data: Store,
    plane: Plane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given.upload(data)
    monkeypatch.setattr("time.sleep", lambda _: plane.settle())

    code, out, _ = run("retrain", NAME, "--wait")

    outcome = out.split()[1]
    assert outcome in ("entered", "rejected")
    assert code == (0 if outcome == "entered" else 1)


def test_a_training_that_takes_too_long_is_not_waited_for(
    run: Run, champion: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RUN_SECONDS", 0)

    code, _, err = run("retrain", NAME, "--wait")

    assert code == 1
    assert "has not ended" in err


def test_an_upload_can_be_waited_for_also_where_no_champion_is_yet(
    run: Run, quick: None, plane: Plane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: plane.settle())
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(given.csv(given.table()))
    bad.write_bytes(b"a,b\n1,2\n")

    refused = run("upload", NAME, str(bad), "--wait")
    code, out, err = run("upload", NAME, str(good))

    assert refused[0] == 1
    assert "skipped: training/flight-delay/bad.csv: " in " ".join(refused[1].split())
    assert (code, out) == (0, "")
    assert "training/flight-delay/good.csv is uploaded" in err


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_batch_is_waited_for_until_its_summary(
    run: Run,
    champion: Manifest,
    plane: Plane,
    data: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: plane.settle())
    file = tmp_path / f"a.{form}"
    table = given.table(30)
    file.write_bytes(given.csv(table) if form == "csv" else b"{}\n")

    code, out, err = run("batch", NAME, str(file), "--wait")

    summary = json.loads(out)
    (key,) = (key for key in data.keys("batch/out/") if key.endswith("summary.json"))
    assert key.startswith(f"batch/out/{NAME}/a.{form}-")
    assert (code, summary["status"]) == (0, "complete")
    assert (summary["scored"], summary["refused"]) == ((30, 0) if form == "csv" else (0, 1))
    assert key.rpartition("/")[0].rpartition("/")[0] in err


def test_a_batch_that_is_not_complete_ends_with_1_and_one_that_stands_still_too(
    run: Run, champion: Manifest, plane: Plane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a\n1\n")
    monkeypatch.setattr("time.sleep", lambda _: plane.settle())

    refused = run("batch", NAME, str(file), "--wait")
    monkeypatch.setattr(commands, "RUN_SECONDS", 0)
    still = run("batch", NAME, str(file), "--wait")
    packed = run("batch", NAME, str(tmp_path / "a.csv.gz"))

    assert (refused[0], json.loads(refused[1])["status"]) == (1, "refused")
    assert (still[0], "Nothing was scored" in still[2]) == (1, True)
    assert (packed[0], "no batch would read it" in packed[2]) == (1, True)


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        (NAME, "nowhere.csv", "cannot be read"),
        ("no-such", "events/approve.json", "no-such is no endpoint"),
        (NAME, "README.md", "a name ends in one of .parquet, .csv"),
        (NAME, "_a.csv", "begins with neither _ nor ."),
        (NAME, "docs", "of a folder, upload each file"),
    ],
)
def test_an_upload_that_cannot_be_is_refused(run: Run, name: str, file: str, said: str) -> None:
    code, _, err = run("upload", name, file)

    assert code == 1
    assert said in err


def test_what_may_be_uploaded_is_what_a_training_reads() -> None:
    assert training_data.ENDINGS == folders.ENDINGS


def test_the_clock_is_moved_a_day_at_a_time_and_says_what_was_announced(
    run: Run, champion: Manifest, by_hand: ByHand
) -> None:
    assert "2013-02-01 12:00 UTC" in run("clock")[1]
    by_hand.replayed.plan(
        given.NOW + timedelta(days=1, hours=1),
        lambda: by_hand.replayed.hear({"detail-type": "Drift Detected", "detail": DRIFT}),
    )

    code, out, _ = run("clock", "+2d")

    assert code == 0
    assert [line[:4] for line in out.splitlines()] == ["2013", "2013", "  20"]
    assert "2013-02-03 12:00 UTC\n  2013-02-02 13:00 Drift Detected: temp" in out


DRIFT = {"endpoint": NAME, "features": ["temp"]}


# Replay


def test_a_prediction_is_replayed_step_by_step_wherever_it_was_made(
    run: Run, candidate: Manifest, plane: Plane
) -> None:
    answer = plane.request("POST", f"/endpoints/{NAME}/predict", given.body(), JSON)
    wanted = answer.json()["predictions"][0]["id"]

    for words in (("replay", wanted), ("replay", wanted, "--endpoint", NAME)):
        code, out, _ = run(*words)

        assert code == 0
        assert "Identical, bit for bit." in out
        assert "golden rows" in " ".join(out.split())


# How it is called


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("unknown",),
        ("status",),
        ("approve", NAME),
        ("promote", NAME, "--reason", "x"),
        ("pause", NAME, "--reason", "x", "--generation", "0"),
        ("decisions", NAME, "--limit", "many"),
        ("clock", "-7d"),
        ("clock", "yesterday"),
        ("upload", NAME),
        ("experiment", "start", NAME, TWO, "--share", "half", "--hypothesis", "x"),
    ],
)
def test_what_is_not_understood_ends_with_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.run(words)

    assert ended.value.code == 2


def test_where_nobody_answers_it_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadingHTTPServer((serve.HOST, 0), BaseHTTPRequestHandler) as gone:
        port = gone.server_port

    assert main.run(["--url", f"http://{serve.HOST}:{port}", "endpoints"]) == 3
    assert "make serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b'{"message":"Internal Server Error"}', 3),
        (503, b'{"error":{"code":"unavailable","message":"try again"}}', 3),
        (503, b'{"error":{"code":"no_champion","message":"train one"}}', 1),
        (403, b'{"message":"Forbidden"}', 1),
        (404, b'{"message":"Not Found"}', 3),
        (200, b"<html>", 3),
        (502, b"", 3),
    ],
)
def test_a_service_that_does_not_answer_as_it_should_is_told_from_a_refusal(
    capsys: pytest.CaptureFixture[str], status: int, body: bytes, code: int
) -> None:
    def answer(_: Asked) -> Answered:
        return Answered(body, status)

    with listening(answer) as host:
        assert main.run(["--url", f"http://{host}", "status", NAME]) == code

    assert "Traceback" not in capsys.readouterr().err


def test_the_command_is_installed() -> None:
    (found,) = entry_points(group="console_scripts", name="evergreen")

    assert found.load() is main.main


def test_it_ends_with_the_code_of_its_command(
    monkeypatch: pytest.MonkeyPatch, run: Run, champion: Manifest
) -> None:
    for words, code in ((("status", NAME), 0), (("resume", NAME, *WHY), 1)):
        monkeypatch.setattr(sys, "argv", ["evergreen", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == code


def test_what_an_answer_says_is_printed_and_not_interpreted(run: Run, champion: Manifest) -> None:
    odd = "[bold]not[/bold] :smile: [/]"

    assert run("pause", NAME, "--reason", odd, "--yes")[0] == 0

    assert odd in run("endpoints")[1]
    assert odd in run("resume", NAME, "--reason", "x")[2]


def test_the_question_says_what_else_a_new_champion_ends() -> None:
    document = {"champion": ONE, "experiment": {"id": "e1"}, "challenger": {"version": "v3"}}

    assert consequences._also(document, TWO) == (
        "; experiment e1 ends, inconclusive; v3 is rejected for good"
    )
    assert consequences._also(document | {"experiment": None}, "v3") == ""


def test_nothing_to_reject_is_said_so(run: Run, champion: Manifest) -> None:
    code, _, said = run("reject", NAME, *WHY)

    assert (code, said.strip()) == (1, f"Refused: {NAME}: there is nothing to reject")


def test_a_refusal_names_the_command_that_helps(run: Run, champion: Manifest) -> None:
    assert "`evergreen endpoints` lists them" in run("status", "no-such")[2]
    assert f"see `evergreen versions {NAME}`" in run("explain", NAME, "--version", "x")[2]


def test_a_status_is_shown_again_until_it_is_stopped(
    run: Run, champion: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)

    assert run("status", NAME, "--watch")[1].count(champion.version) >= 3
    assert slept == [commands.WATCH_SECONDS] * 3


def test_a_shell_completes_commands_and_their_options() -> None:
    script = completion.script(main.parser())

    found = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=(evergreen experiment sta)\nCOMP_CWORD=2\n"
         "_evergreen; echo ${COMPREPLY[@]}\nCOMP_WORDS=(evergreen stat)\nCOMP_CWORD=1\n"
         "_evergreen; echo ${COMPREPLY[@]}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert found.stdout.split() == ["start", "status"]


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (["console"], "/"),
        (["open", NAME], f"/console/{NAME}"),
        (["open", NAME, "--card"], f"/console/{NAME}/versions/{ONE}"),
        (["open", NAME, "--report"], f"/console/{NAME}/check"),
    ],
)
def test_a_page_is_opened_in_a_browser(
    run: Run, champion: Manifest, monkeypatch: pytest.MonkeyPatch, words: list[str], page: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    assert run(*words)[0] == 0
    assert [one.partition("//")[2].partition("/")[2] for one in opened] == [page[1:]]


@pytest.mark.parametrize(("folder", "done"), [(".", True), ("docs", False)])
def test_the_console_of_a_stack_is_a_door_that_signs(
    monkeypatch: pytest.MonkeyPatch, folder: str, done: bool
) -> None:
    asked: list[tuple[str, ...]] = []

    def run_module(*words: str) -> bool:
        asked.append(words)
        return True

    monkeypatch.setattr(pages, "run_module", run_module)
    monkeypatch.chdir(ROOT / folder)
    signed: Any = object()
    api = Api("https://a.example", "signed", signed, signed)
    session = commands.Session(api, Console(), Console(), json=False)

    assert pages.console(session, Namespace(config_env="prod")) == done

    words = ("--url", "https://a.example", "--config-env", "prod", "--path", "/")
    assert asked == ([("local.console", *words)] if done else [])
