"""The programs that look for holes in the template and the locked packages; ruff reads the code.

Those that read templates are shown SEEDED's faults besides, which they must find: silence alone is
no all-clear. Nothing but pip-audit asks anybody; checkov would, if it were let.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.gates.rules import RULES
from local.template import REGION, ROOT, resolve, translate

BUILD = ROOT / "build" / "gates"
BIN, UV = ROOT / ".venv" / "bin", ROOT / ".uv" / "bin" / "uv"
CHECKOV = ROOT / ".checkov" / "bin" / "checkov"
LONGEST = 180  # seconds that a program may take
ADVISORIES = "the Python Packaging Advisory Database, as PyPI serves it"
TO_CONNECT = 3  # seconds in which the service that pip-audit asks must answer
REPORTS = re.compile("BC_|PRISMA_|CKV_|CHECKOV_")
UNREACHED = re.compile("Connect(ion)?(Error|Timeout)|ReadTimeout|(Service|SSL|Proxy)Error")

TEMPLATES = ("template.yaml", "build/gates/translated.json", "local/gates/seeded.yaml")
SEEDED = {  # what each must find in the last
    "checkov": {
        "CKV_AWS_63",  # every action
        "CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56",  # a public bucket
        "CKV_AWS_21", "CKV_AWS_66", "CKV_AWS_95",  # no versions, logs for ever, no access log
        "CKV_AWS_115",  # no reserved concurrency
    },
    "cfn-lint": {"WS1000", "ES1006", "E3717"},  # not traced, no timeout, too long a timeout
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Finding:
    """What a tool has against one place: a logical id, a file, or a package."""

    tool: str
    rule: str
    where: str
    text: str


class ScanError(Exception):
    """A program did not look, so that nothing is known."""


class UnreachedError(Exception):
    """The service that a program asks does not answer here."""


def write_what_is_scanned() -> None:
    """Write the template as it is deployed, and the locked packages."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "translated.json").write_text(json.dumps(translate(), indent=1))
    export = ("export", "--frozen", "--offline", "--quiet", "--no-header", "--no-annotate")
    everything = ("--all-groups", "--no-emit-project")
    into = f"--output-file={BUILD / 'requirements.txt'}"
    subprocess.run([UV, *export, *everything, into], cwd=ROOT, capture_output=True, check=True)


def rules() -> list[Finding]:
    """Return what breaks our own rules, at any level."""
    translated = translate()
    return [
        Finding("rules", rule, where, text)
        for template in [resolve(translated, {"MaturityLevel": level}) for level in "1234"]
        for rule, broken in RULES.items()
        for where, text in broken(template)
    ]


def checkov() -> list[Finding]:
    """Return what checkov has against the template, as it is written and as it is deployed."""
    files = [f"--file={path}" for path in TEMPLATES]
    asked = ("--framework=cloudformation", "--skip-download", "--quiet", "--output=json")
    found = said(CHECKOV, *files, *asked)
    if found["summary"]["parsing_errors"]:
        raise ScanError("checkov could not read a template: .checkov/bin/checkov -f template.yaml")
    return [
        Finding("checkov", one["check_id"], one["resource"].rpartition(".")[2], one["check_name"])
        for one in found["results"]["failed_checks"]
    ]


def cfn_lint() -> list[Finding]:
    """Return what cfn-lint has against the same, with its rules for serverless templates."""
    asked = ("--append-rules=cfn_lint_serverless.rules", f"--regions={REGION}", "--format=json")
    found = said(BIN / "cfn-lint", *asked, "--template", *TEMPLATES)
    return [Finding("cfn-lint", one["Rule"]["Id"], place(one), one["Message"]) for one in found]


def pip_audit() -> list[Finding]:
    """Return what is known against the locked packages, those of checkov's place left out.

    A package that its service does not know is one that was taken away. Raises UnreachedError where
    nobody answers, or where whoever does knows none of them.
    """
    asked = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")
    locked = (f"--timeout={TO_CONNECT}", f"--requirement={BUILD / 'requirements.txt'}")
    packages = said(BIN / "pip-audit", *asked, *locked)["dependencies"]
    if all("skip_reason" in one for one in packages):
        raise UnreachedError("its service knows none of the locked packages")
    found = [
        (one["name"], "unknown", one["skip_reason"]) for one in packages if "skip_reason" in one
    ]
    for one in packages:
        for flaw in one.get("vulns", ()):
            repaired = ", ".join(flaw["fix_versions"]) or "no version"
            found.append((one["name"], flaw["id"], f"{one['version']}; repaired in {repaired}"))
    return [Finding("pip-audit", rule, where, text) for where, rule, text in found]


def place(found: dict[str, Any]) -> str:
    """Return the logical id that a finding of cfn-lint is about, or else the file."""
    path = found["Location"]["Path"] or []
    return str(path[1]) if len(path) > 1 else Path(found["Filename"]).name


def said(*command: str | Path) -> Any:
    """Return what a program answers, whatever its exit code.

    It runs without what would have checkov report to its makers. Raises ScanError where it gives
    no answer, and UnreachedError where that is because nobody answered it.
    """
    environment = {name: value for name, value in os.environ.items() if not REPORTS.match(name)}
    name = Path(command[0]).name
    try:
        ended = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        return json.loads(ended.stdout)
    except subprocess.TimeoutExpired as late:
        raise ScanError(f"{name} did not end within {LONGEST} s") from late
    except ValueError as nothing:
        if UNREACHED.search(ended.stderr):
            raise UnreachedError(ended.stderr.strip().rpartition("\n")[2][:200]) from nothing
        raise ScanError(f"{name} did not answer: {ended.stderr.strip()[-500:]}") from nothing
