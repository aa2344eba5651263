"""The programs that look for holes in the template, the code and the locked packages.

Each is shown a fault besides, in SEEDED's files, which it must find: silence alone is no all-clear.
Nothing but pip-audit asks anybody; checkov would, if it were let.
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
CODE = ("functions", "cli", "local", "layers")
LONGEST = 180  # seconds that a program may take
TO_CONNECT = 3  # seconds in which the service that pip-audit asks must answer
REPORTS = re.compile("BC_|PRISMA_|CKV_|CHECKOV_")
UNREACHED = re.compile(
    "ConnectionError|ConnectTimeout|ReadTimeout|ServiceError|SSLError|ProxyError"
)

SEEDED_CODE = "import pickle\n\npickle.loads(input())\n"
SEEDED_TEMPLATE = {
    "SeededRole": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Statement": []},
            "Policies": [
                {
                    "PolicyName": "everything",
                    "PolicyDocument": {
                        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
                    },
                }
            ],
        },
    },
    "SeededFunction": {"Type": "AWS::Lambda::Function", "Properties": {"Handler": "a.b"}},
}
SEEDED = {  # what each must find there
    "bandit": "B301",  # pickle
    "cfn-lint": "WS1000",  # not traced, by the rules for serverless templates
    "checkov": "CKV_AWS_63",  # every action
}


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
    """Write the template as it is deployed, the locked packages, and the seeded faults."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "translated.json").write_text(json.dumps(translate(), indent=1))
    (BUILD / "seeded.json").write_text(json.dumps({"Resources": SEEDED_TEMPLATE}))
    export = ("export", "--frozen", "--offline", "--quiet", "--no-header", "--no-annotate")
    everything = ("--all-groups", "--no-emit-project")
    finished(UV, *export, *everything, f"--output-file={BUILD / 'requirements.txt'}")


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
    files = [f"--file={path}" for path in templates()]
    asked = ("--framework=cloudformation", "--skip-download", "--quiet", "--output=json")
    said = answer(finished(CHECKOV, *files, *asked))
    if said["summary"]["parsing_errors"]:
        raise ScanError("checkov could not read a template: .checkov/bin/checkov -f template.yaml")
    return [
        Finding("checkov", one["check_id"], one["resource"].rpartition(".")[2], one["check_name"])
        for one in said["results"]["failed_checks"]
    ]


def cfn_lint() -> list[Finding]:
    """Return what cfn-lint has against the same, with its rules for serverless templates."""
    asked = ("--append-rules=cfn_lint_serverless.rules", f"--regions={REGION}", "--format=json")
    said = answer(finished(BIN / "cfn-lint", *asked, "--template", *templates()))
    return [Finding("cfn-lint", one["Rule"]["Id"], place(one), one["Message"]) for one in said]


def bandit() -> list[Finding]:
    """Return what bandit has against the code, in which no comment can silence it."""
    asked = ("--quiet", "--recursive", "--ignore-nosec", "--format=json")
    seeded = BUILD / "seeded.py"
    seeded.parent.mkdir(parents=True, exist_ok=True)
    seeded.write_text(SEEDED_CODE)
    said = answer(finished(BIN / "bandit", *asked, *CODE, str(seeded.relative_to(ROOT))))
    if said["errors"]:
        raise ScanError(f"bandit could not read {said['errors']}")
    return [
        Finding("bandit", one["test_id"], str(Path(one["filename"])), one["issue_text"])
        for one in said["results"]
    ]


def pip_audit() -> list[Finding]:
    """Return what is known against the locked packages, those of checkov's place left out.

    Raises UnreachedError where it cannot be asked, which one package is enough to see.
    """
    locked = (BUILD / "requirements.txt").read_text()
    one = BUILD / "requirement.txt"
    one.write_text(re.split(r"\n(?=\w)", locked, maxsplit=1)[0])
    first = audited(one)
    if unknown(first):
        raise UnreachedError(f"its service does not know {unknown(first)[0].where}")
    return vulnerable(audited(BUILD / "requirements.txt"))


def audited(requirements: Path) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package of a file. Raises UnreachedError, ScanError."""
    asked = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")
    ended = finished(
        BIN / "pip-audit", *asked, f"--timeout={TO_CONNECT}", f"--requirement={requirements}"
    )
    if UNREACHED.search(ended.stderr):
        raise UnreachedError(ended.stderr.strip().rpartition("\n")[2][:200])
    return list(answer(ended)["dependencies"])


def unknown(packages: list[dict[str, Any]]) -> list[Finding]:
    """Return the packages that nothing is known of, which a package that was taken away is too."""
    return [
        Finding("pip-audit", "unknown", one["name"], one["skip_reason"])
        for one in packages
        if "skip_reason" in one
    ]


def vulnerable(packages: list[dict[str, Any]]) -> list[Finding]:
    """Return the packages that something is known against, or that nothing is known of."""
    return unknown(packages) + [
        Finding(
            "pip-audit",
            flaw["id"],
            one["name"],
            f"{one['version']}; repaired in {', '.join(flaw['fix_versions']) or 'no version'}",
        )
        for one in packages
        for flaw in one.get("vulns", ())
    ]


def templates() -> list[str]:
    """Return the templates to look at."""
    written = [BUILD / "translated.json", BUILD / "seeded.json"]
    return ["template.yaml", *(str(path.relative_to(ROOT)) for path in written)]


def place(found: dict[str, Any]) -> str:
    """Return the logical id that a finding of cfn-lint is about, or else the file."""
    path = found["Location"]["Path"] or []
    return str(path[1]) if len(path) > 1 else Path(found["Filename"]).name


def finished(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without what would have checkov report to its makers."""
    environment = {name: said for name, said in os.environ.items() if not REPORTS.match(name)}
    try:
        return subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ScanError(f"{Path(command[0]).name} did not end within {LONGEST} s") from late


def answer(ended: subprocess.CompletedProcess[str]) -> Any:
    """Return what a program said, whatever its exit code. Raises ScanError if it said nothing."""
    try:
        return json.loads(ended.stdout)
    except ValueError as nothing:
        name = Path(ended.args[0]).name
        raise ScanError(f"{name} did not answer: {ended.stderr.strip()[-500:]}") from nothing
