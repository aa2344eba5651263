"""The gates of `make check`: what is found fails them, and what is excused and not found too."""

import hashlib
import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from local.gates import __main__ as main
from local.gates import scanners
from local.gates.__main__ import EXCEPTIONS, SCANS, Kept, blind, judge, kept
from local.gates.scanners import SEEDED, Finding, ScanError, UnreachedError
from local.template import ROOT

FOUND = Finding("checkov", "CKV_AWS_21", "DataBucket", "it forgets")
SAID = "checkov CKV_AWS_21 DataBucket: it forgets"
KEPT = ("checkov", "CKV_AWS_21", "DataBucket")
SEEN = [Finding(tool, rule, "SeededRole", "") for tool in SEEDED for rule in SEEDED[tool]]


# What fails


def test_what_a_tool_finds_fails_the_check_and_says_where() -> None:
    assert judge([FOUND], set(), SCANS) == [SAID]


def test_what_is_excused_does_not_fail_it() -> None:
    assert judge([FOUND], {KEPT}, SCANS) == []


@pytest.mark.parametrize(
    "other",
    [("cfn-lint", *KEPT[1:]), ("checkov", "CKV_AWS_18", "DataBucket"), (*KEPT[:2], "OtherBucket")],
    ids=["tool", "rule", "place"],
)
def test_an_exception_is_for_one_rule_of_one_tool_at_its_places(other: Kept) -> None:
    assert SAID in judge([FOUND], {other}, SCANS)


def test_an_exception_that_nothing_needs_fails_the_check_for_each_of_its_places() -> None:
    idle = ("checkov", "CKV_AWS_21", "ArtifactBucket")

    assert judge([FOUND], {KEPT, idle}, SCANS) == [
        "checkov CKV_AWS_21 ArtifactBucket: is not found any more: take it out of the exceptions"
    ]


def test_a_tool_that_could_not_be_asked_needs_none_of_its_exceptions() -> None:
    assert judge([], {KEPT}, {"cfn-lint"}) == []


@pytest.mark.parametrize(
    ("tool", "rule"), [(t, each) for t in SEEDED for each in sorted(SEEDED[t])]
)
def test_a_tool_that_does_not_find_the_fault_it_is_shown_fails_the_check(
    tool: str, rule: str
) -> None:
    seen = [finding for finding in SEEN if finding.rule != rule]

    (failure,) = blind(seen, SCANS)

    assert failure.startswith(f"{tool} did not find {rule}")
    assert blind(SEEN, SCANS) == []
    assert judge(SEEN, set(), SCANS) == []


def ended(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return what the gates say when they end well, and when they do not."""
    try:
        main.main()
    except SystemExit as failed:
        return capsys.readouterr().out, str(failed.code)
    return capsys.readouterr().out, ""


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Return the scans, none of which finds more than what it is shown."""
    file = tmp_path / "exceptions.toml"
    file.write_text("exception = []")
    found: dict[str, Any] = {"tool": lambda: SEEN}
    monkeypatch.setattr(main, "SCANS", found)
    monkeypatch.setattr(main, "EXCEPTIONS", file)
    monkeypatch.setattr(scanners, "write_what_is_scanned", lambda: None)
    return found


def raising(error: Exception) -> Any:
    def scan() -> list[Finding]:
        raise error

    return scan


def test_a_service_that_does_not_answer_is_said_and_does_not_fail_the_check(
    scans: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    scans["pip-audit"] = raising(UnreachedError("it is far away"))

    said, failed = ended(capsys)

    assert (
        "pip-audit was skipped, and nothing is known of what it looks for: it is far away" in said
    )
    assert not failed


def test_a_program_that_breaks_fails_the_check_and_the_others_are_still_heard(
    scans: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    scans["broken"] = raising(ScanError("broken did not answer"))
    scans["checkov"] = lambda: [*SEEN, FOUND]

    _, failed = ended(capsys)

    assert failed.splitlines() == ["broken did not answer", SAID]


# The tools


def program(folder: Path, text: str) -> Path:
    """Return a program of that text."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_what_checkov_would_report_by_is_kept_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BC_API_KEY", "mine")
    monkeypatch.setenv("PRISMA_API_URL", "mine")
    asked = program(
        tmp_path, """printf '["%s%s", "%s"]' "$BC_API_KEY" "$PRISMA_API_URL" "$HOME" """
    )

    assert scanners.said(asked) == ["", str(Path.home())]


@pytest.mark.parametrize(
    "error", ["requests.exceptions.ConnectionError: refused", "SSLError(...)", "ServiceError"]
)
def test_a_service_that_cannot_be_reached_is_no_answer(tmp_path: Path, error: str) -> None:
    with pytest.raises(UnreachedError, match=re.escape(error)):
        scanners.said(program(tmp_path, f"echo '{error}' >&2; exit 1"))


def test_a_program_that_breaks_is_not_taken_for_a_service_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="program did not answer: ModuleNotFoundError"):
        scanners.said(program(tmp_path, "echo ModuleNotFoundError >&2; exit 1"))


def test_a_program_without_an_end_has_not_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scanners, "LONGEST", 0.01)

    with pytest.raises(ScanError, match="program did not end"):
        scanners.said(program(tmp_path, "exec sleep 60"))


def audited(monkeypatch: pytest.MonkeyPatch, *packages: dict[str, Any]) -> list[Finding]:
    """Return what is found where pip-audit says this of the packages."""
    monkeypatch.setattr(scanners, "said", lambda *_: {"dependencies": packages})
    return scanners.pip_audit()


GONE = {"name": "three", "skip_reason": "not found"}


def test_a_service_that_knows_none_of_the_packages_was_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnreachedError, match="knows none"):
        audited(monkeypatch, GONE, GONE)


def test_a_package_that_something_is_known_against_is_found_and_one_that_is_gone_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flaw = {"id": "PYSEC-1", "fix_versions": ["1.1"]}

    found = audited(
        monkeypatch,
        {"name": "one", "version": "1", "vulns": [flaw]},
        {"name": "two", "version": "2", "vulns": []},
        GONE,
    )

    assert found == [
        Finding("pip-audit", "unknown", "three", "not found"),
        Finding("pip-audit", "PYSEC-1", "one", "1; repaired in 1.1"),
    ]


# What is excused


def test_an_exception_without_a_reason_is_an_error() -> None:
    text = '[[exception]]\ntool = "checkov"\nrule = "B301"\nwhere = ["A"]\nwhy = ""\n'

    with pytest.raises(ScanError, match="checkov B301 is kept without a reason"):
        kept(text)


def test_each_exception_is_for_a_tool_that_is_asked() -> None:
    assert {tool for tool, _, _ in kept(EXCEPTIONS.read_text())} <= set(SCANS)


def test_our_own_rules_find_nothing_but_what_is_excused() -> None:
    assert judge(scanners.rules(), kept(EXCEPTIONS.read_text()), {"rules"}) == []


def ignored() -> list[tuple[str, str]]:
    """Return what pyproject.toml lets ruff ignore: a pattern of files, and a rule."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    everywhere = [("**", rule) for rule in lint["ignore"]]
    return everywhere + [
        (pattern, rule) for pattern, rules in lint["per-file-ignores"].items() for rule in rules
    ]


def test_each_rule_that_ruff_ignores_would_find_something() -> None:
    rules = ",".join(sorted({rule for _, rule in ignored()} - {"D203", "D213"}))
    asked = ("check", "--isolated", "--ignore-noqa", "--exit-zero", "--output-format=json")
    said = subprocess.run(
        [ROOT / ".venv" / "bin" / "ruff", *asked, f"--select={rules}", "."],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {
        (str(Path(one["filename"]).relative_to(ROOT)), one["code"]) for one in json.loads(said)
    }

    idle = [
        (pattern, rule)
        for pattern, rule in ignored()
        if not any(fnmatch(file, pattern) and code.startswith(rule) for file, code in found)
    ]

    assert idle == [("**", "D203"), ("**", "D213")]  # each is the opposite of one that is asked


def test_each_rule_that_ruff_ignores_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = text.partition("\nignore = [\n")[2].partition("[tool.ruff.lint.pydocstyle]")[0]

    silent = [line for line in lines.splitlines() if '"' in line and "# " not in line]

    assert silent == []


SILENCED = re.compile(  # not: of another family alone, or one rule with its reason
    r"(?i:#\s*(?:noqa|ruff:))(?!: (?:(?:[A-RT-Z]|S[A-Z])\w++(?!,)|S\d++ - \w))"
)


def test_a_comment_without_a_reason_silences_no_security_rule() -> None:
    files = [file for folder in ("functions", "cli", "local", "layers", "tests", "benchmarks")
             for file in (ROOT / folder).rglob("*.py")]  # fmt: skip

    silent = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if SILENCED.search(line)
    ]

    assert silent == []


@pytest.mark.parametrize(
    "comment",
    ["noqa", "NOQA", "noqa:S301", "noqa: S301", "noqa: E501, S301", "noqa: S301, S403 - both",
     "ruff: noqa", "ruff: noqa: S301", "ruff: disable[S301]"],
)  # fmt: skip
def test_a_comment_that_could_silence_a_security_rule_is_seen(comment: str) -> None:
    assert SILENCED.search(f"pickle.loads(b'')  {'#'} {comment}")
    assert not SILENCED.search(f"pickle.loads(b'')  {'#'} noqa: S301 - our own bytes")


UNSAFE = """\
import hashlib, os, pickle, random, subprocess, ssl, tarfile, tempfile, urllib.request, yaml
import jinja2, requests
import xml.etree.ElementTree as tree


def unsafe(x, cursor):
{}
"""


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("S102", "exec(x)"), ("S103", "os.chmod(x, 0o777)"), ("S105", "password = 'hunter2'"),
        ("S106", "x(password='hunter2')"), ("S108", "open('/tmp/x')"),
        ("S110", "try: x()\n    except Exception: pass"), ("S113", "requests.get(x)"),
        ("S202", "tarfile.open(x).extractall()"), ("S301", "pickle.loads(x)"),
        ("S306", "tempfile.mktemp()"), ("S307", "eval(x)"), ("S310", "urllib.request.urlopen(x)"),
        ("S314", "tree.parse(x)"), ("S323", "ssl._create_unverified_context()"),
        ("S324", "hashlib.md5(x)"), ("S501", "requests.get(x, verify=False)"),
        ("S506", "yaml.load(x)"), ("S602", "subprocess.run(x, shell=True)"),
        ("S603", "subprocess.run(x)"), ("S605", "os.system(x)"), ("S607", "subprocess.run(['ls'])"),
        ("S608", "cursor.execute(f'SELECT * FROM {x}')"), ("S701", "jinja2.Environment()"),
        ("PLE2502", "x = '\u202e'"),
    ],
)  # fmt: skip
def test_ruff_finds_what_is_unsafe_in_a_function_of_ours(rule: str, line: str) -> None:
    """Each family of bandit's rules that could concern this code, as pyproject.toml asks for it."""
    found = subprocess.run(
        [ROOT / ".venv" / "bin" / "ruff", "check", "--no-cache", "--output-format=concise",
         "--stdin-filename=functions/seeded.py", "-"],
        cwd=ROOT, input=UNSAFE.format("    " + line), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert f" {rule} " in found.stdout


# A copy


def test_a_file_of_the_machinery_that_was_edited_or_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("kept.py", "edited.py", "deleted.py")
    for name in names[:2]:
        (tmp_path / name).write_text("as it was")
    digest = hashlib.sha256(b"as it was").hexdigest()
    (tmp_path / ".evergreen.sha256").write_text("".join(f"{digest}  {name}\n" for name in names))
    (tmp_path / "edited.py").write_text("as it is")
    monkeypatch.setattr(main, "ROOT", tmp_path)
    monkeypatch.setattr(main, "MACHINERY", tmp_path / ".evergreen.sha256")

    assert main.edited() == ["edited.py", "deleted.py"]


def test_a_repository_that_is_no_copy_has_no_edited_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "MACHINERY", tmp_path / "none")

    assert main.edited() == []


def test_a_file_of_exceptions_that_keeps_nothing_yet_is_none() -> None:
    assert kept("# [[exception]]\n") == set()
