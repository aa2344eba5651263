"""What `make check` asks besides style and types: is there a hole in the template or a package?

What the scanners and our own rules find fails the check, unless exceptions.toml says why it stays;
and what that file names and nobody finds fails it too.
"""

import hashlib
import sys
import tomllib
from collections.abc import Callable, Collection, Iterable, Set
from concurrent.futures import ThreadPoolExecutor

from local import command_line
from local.gates import scanners
from local.gates.scanners import SEEDED, Finding, ScanError, UnreachedError
from local.template import ROOT

EXCEPTIONS = ROOT / "local" / "exceptions.toml"
OWN = ROOT / "exceptions.toml"  # of a copy, whose resources may need some too
MACHINERY = ROOT / ".evergreen.sha256"  # of a copy: what its release brought
SCANS: dict[str, Callable[[], list[Finding]]] = {  # the longest first
    "checkov": scanners.checkov,
    "cfn-lint": scanners.cfn_lint,
    "pip-audit": scanners.pip_audit,
    "rules": scanners.rules,
}


# A finding that may stay: the tool, its rule, and the logical id or package that it is about.
Kept = tuple[str, str, str]


def kept(text: str) -> set[Kept]:
    """Return what the text of exceptions.toml keeps. Raises ScanError where no reason is given."""
    found = tomllib.loads(text).get("exception", [])
    for entry in found:
        if not entry.get("why"):
            raise ScanError(f"{entry['tool']} {entry['rule']} is kept without a reason: say `why`")
    return {(one["tool"], one["rule"], where) for one in found for where in one["where"]}


def judge(findings: Iterable[Finding], exceptions: Set[Kept], asked: Collection[str]) -> list[str]:
    """Return what fails the check, of the tools that were asked."""
    found = {(one.tool, one.rule, one.where): one.text for one in findings if not is_seeded(one)}
    new = [f"{' '.join(place)}: {found[place]}" for place in sorted(found.keys() - exceptions)]
    return new + [
        f"{' '.join(place)}: is not found any more: take it out of the exceptions"
        for place in sorted(exceptions - found.keys())
        if place[0] in asked
    ]


def blind(findings: Iterable[Finding], asked: Collection[str]) -> list[str]:
    """Return what fails the check because a tool did not see a fault that it was shown."""
    seen = {(one.tool, one.rule) for one in findings if is_seeded(one)}
    return [
        f"{tool} did not find {rule} where it was put to be found: nobody knows what else it missed"
        for tool in sorted(SEEDED.keys() & set(asked))
        for rule in sorted(SEEDED[tool])
        if (tool, rule) not in seen
    ]


def edited() -> list[str]:
    """Return the files of the machinery that are not as the release of this copy brought them."""
    lines = MACHINERY.read_text().splitlines() if MACHINERY.exists() else []
    return [
        name
        for expected, name in (line.split("  ", 1) for line in lines)
        if not (ROOT / name).is_file()
        or hashlib.sha256((ROOT / name).read_bytes()).hexdigest() != expected
    ]


def is_seeded(finding: Finding) -> bool:
    """Return whether a finding is of what was put there to be found."""
    return finding.where.lower().startswith("seeded")


def main() -> None:
    """Scan, print what fails the check, and end with 1 if anything does."""
    scanners.write_what_is_scanned()
    findings: list[Finding] = []
    asked = set(SCANS)
    failures = []
    with ThreadPoolExecutor() as pool:
        scans = {tool: pool.submit(scan) for tool, scan in SCANS.items()}
    for tool, scan in scans.items():
        try:
            findings += scan.result()
        except UnreachedError as reason:
            asked.remove(tool)
            print(f"{tool} was skipped, and nothing is known of what it looks for: {reason}")
        except ScanError as reason:
            asked.remove(tool)
            failures.append(str(reason))
    exceptions = kept(EXCEPTIONS.read_text()) | (kept(OWN.read_text()) if OWN.exists() else set())
    if changed := edited():
        print(
            f"Evergreen's own files that were edited here: {', '.join(changed)}. "
            "`make update` keeps that, and may conflict with it."
        )
    failures += judge(findings, exceptions, asked) + blind(findings, asked)
    if failures:
        sys.exit("\n".join(failures))
    if "pip-audit" in asked:
        print(f"pip-audit looked into {scanners.ADVISORIES}")
    print(f"{', '.join(sorted(asked))}: nothing but what may stay in {len(exceptions)} places")


if __name__ == "__main__":
    command_line.parser("local.gates", __doc__, "make check").parse_args()
    main()
