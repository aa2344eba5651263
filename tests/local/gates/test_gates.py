"""The gates of `make check`: what is found fails them, and what is excused and not found too."""

import json
import re
import shutil
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

FOUND = Finding("bandit", "B301", "local/demo/__main__.py", "pickle")
KEPT = Kept("bandit", "B301", ("local/*",), "it is ours")
SEEN = [Finding(tool, rule, "seeded", "") for tool, rule in SEEDED.items()]


# What fails


def test_what_a_tool_finds_fails_the_check_and_says_where() -> None:
    assert judge([FOUND], [], SCANS) == ["bandit B301 local/demo/__main__.py: pickle"]


def test_what_is_excused_does_not_fail_it() -> None:
    assert judge([FOUND], [KEPT], SCANS) == []


@pytest.mark.parametrize(
    "other",
    [
        Kept("checkov", "B301", ("local/*",), "another tool"),
        Kept("bandit", "B302", ("local/*",), "another rule"),
        Kept("bandit", "B301", ("functions/*",), "another place"),
    ],
    ids=lambda entry: entry.why,
)
def test_an_exception_is_for_one_rule_of_one_tool_at_its_places(other: Kept) -> None:
    assert "bandit B301 local/demo/__main__.py: pickle" in judge([FOUND], [other], SCANS)


def test_an_exception_that_nothing_needs_fails_the_check_for_each_of_its_places() -> None:
    entry = Kept("bandit", "B301", ("local/*", "functions/*"), "")

    assert judge([FOUND], [entry], SCANS) == [
        "bandit B301 functions/*: is not found any more: take it out of local/exceptions.toml"
    ]


def test_a_tool_that_could_not_be_asked_needs_none_of_its_exceptions() -> None:
    assert judge([], [KEPT], {"checkov"}) == []


@pytest.mark.parametrize("tool", SEEDED)
def test_a_tool_that_does_not_find_the_fault_it_is_shown_fails_the_check(tool: str) -> None:
    seen = [finding for finding in SEEN if finding.tool != tool]

    (failure,) = blind(seen)

    assert failure.startswith(f"{tool} did not find")
    assert blind(SEEN) == []
    assert judge(SEEN, [], SCANS) == []


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
    scans["bandit"] = lambda: [FOUND]

    _, failed = ended(capsys)

    assert failed.splitlines() == [
        "broken did not answer",
        "bandit B301 local/demo/__main__.py: pickle",
    ]


# The tools


def test_bandit_looks_at_our_code_and_finds_the_fault_that_it_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scanners, "CODE", ("functions/evergreen/training/dataset.py",))
    scanners.BUILD.mkdir(parents=True, exist_ok=True)
    (scanners.BUILD / "seeded.py").write_text(scanners.SEEDED_CODE)

    found = {(one.rule, one.where) for one in scanners.bandit()}

    assert ("B301", "build/gates/seeded.py") in found
    assert ("B608", "functions/evergreen/training/dataset.py") in found


def test_a_comment_does_not_silence_bandit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import pickle  # nosec\n\npickle.loads(b'')  # nosec\n")
    monkeypatch.setattr(scanners, "CODE", (str(tmp_path),))

    own = {one.rule for one in scanners.bandit() if one.where.endswith("own.py")}

    assert own >= {"B403", "B301"}


def test_what_checkov_would_report_by_is_kept_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BC_API_KEY", "mine")
    monkeypatch.setenv("PRISMA_API_URL", "mine")

    said = scanners.finished(shutil.which("env") or "env").stdout

    assert "mine" not in said
    assert "PATH=" in said


def pip_audit(monkeypatch: pytest.MonkeyPatch, stdout: str = "", stderr: str = "") -> None:
    """Let pip-audit say something."""
    monkeypatch.setattr(
        scanners,
        "finished",
        lambda *command: subprocess.CompletedProcess(command, 1, stdout, stderr),
    )


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file of locked packages, of which there are two."""
    monkeypatch.setattr(scanners, "BUILD", tmp_path)
    file = tmp_path / "requirements.txt"
    file.write_text("one==1 \\\n    --hash=sha256:00\ntwo==2 \\\n    --hash=sha256:11\n")
    return file


def test_one_package_is_enough_to_see_that_pip_audit_has_nobody_to_ask(
    monkeypatch: pytest.MonkeyPatch, locked: Path
) -> None:
    said = {"dependencies": [{"name": "one", "skip_reason": "not found"}]}
    pip_audit(monkeypatch, json.dumps(said))

    with pytest.raises(UnreachedError, match="one"):
        scanners.pip_audit()

    asked = (locked.parent / "requirement.txt").read_text()
    assert asked.split() == ["one==1", "\\", "--hash=sha256:00"]


@pytest.mark.parametrize(
    "stderr", ["requests.exceptions.ConnectionError: refused", "SSLError(...)", "ServiceError"]
)
@pytest.mark.usefixtures("locked")
def test_a_service_that_cannot_be_reached_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, stderr: str
) -> None:
    pip_audit(monkeypatch, stderr=stderr)

    with pytest.raises(UnreachedError):
        scanners.pip_audit()


@pytest.mark.usefixtures("locked")
def test_pip_audit_that_breaks_is_not_taken_for_a_service_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pip_audit(monkeypatch, stderr="ModuleNotFoundError: No module named 'pip_audit'")

    with pytest.raises(ScanError, match="ModuleNotFoundError"):
        scanners.pip_audit()


@pytest.mark.usefixtures("locked")
def test_a_package_that_something_is_known_against_is_found_and_one_that_is_gone_too() -> None:
    flaw = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    said: list[dict[str, Any]] = [
        {"name": "one", "version": "1", "vulns": [flaw]},
        {"name": "two", "version": "2", "vulns": []},
        {"name": "three", "skip_reason": "not found"},
    ]

    assert scanners.vulnerable(said) == [
        Finding("pip-audit", "unknown", "three", "not found"),
        Finding("pip-audit", "PYSEC-1", "one", "1; repaired in 1.1"),
    ]


# What is excused


def test_an_exception_without_a_reason_is_an_error() -> None:
    text = '[[exception]]\ntool = "bandit"\nrule = "B301"\nwhere = ["local/*"]\nwhy = ""\n'

    with pytest.raises(ScanError, match="bandit B301 is kept without a reason"):
        kept(text)


def test_each_exception_is_for_a_tool_that_is_asked() -> None:
    assert {entry.tool for entry in kept(EXCEPTIONS.read_text())} <= set(SCANS)


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


def test_each_line_that_is_excused_from_a_security_rule_says_why() -> None:
    files = [file for folder in ("functions", "cli", "local", "layers", "tests", "benchmarks")
             for file in (ROOT / folder).rglob("*.py")]  # fmt: skip

    silent = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"# noqa: S\d+\b(?! - \w)", line)
    ]

    assert silent == []
