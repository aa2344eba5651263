"""What `make check` asks besides style and types: is there a hole in the template or in the code?

What the scanners and our own rules find fails the check, unless exceptions.toml says why it stays;
and what that file names and nobody finds fails it too.
"""

import sys
import tomllib
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from local import command_line
from local.gates import scanners
from local.gates.scanners import SEEDED, Finding, ScanError, UnreachedError
from local.template import ROOT

EXCEPTIONS = ROOT / "local" / "exceptions.toml"
SCANS: dict[str, Callable[[], list[Finding]]] = {  # the longest first
    "checkov": scanners.checkov,
    "cfn-lint": scanners.cfn_lint,
    "pip-audit": scanners.pip_audit,
    "bandit": scanners.bandit,
    "rules": scanners.rules,
}


@dataclass(frozen=True)
class Kept:
    """A finding that stays, at these places or patterns of places, and why."""

    tool: str
    rule: str
    where: tuple[str, ...]
    why: str

    def places(self, finding: Finding) -> list[str]:
        """Return which of its places a finding is at."""
        about = (self.tool, self.rule) == (finding.tool, finding.rule)
        return [place for place in self.where if about and fnmatchcase(finding.where, place)]


def kept(text: str) -> list[Kept]:
    """Return what the text of exceptions.toml keeps. Raises ScanError where no reason is given."""
    found = tomllib.loads(text)["exception"]
    for entry in found:
        if not entry.get("why"):
            raise ScanError(f"{entry['tool']} {entry['rule']} is kept without a reason: say `why`")
    return [Kept(one["tool"], one["rule"], tuple(one["where"]), one["why"]) for one in found]


def judge(
    findings: Iterable[Finding], exceptions: Iterable[Kept], asked: Collection[str]
) -> list[str]:
    """Return what fails the check, of the tools that were asked."""
    own = sorted({finding for finding in findings if not is_seeded(finding)})
    exceptions = [entry for entry in exceptions if entry.tool in asked]
    met = {(entry, place) for entry in exceptions for one in own for place in entry.places(one)}
    new = [
        f"{one.tool} {one.rule} {one.where}: {one.text}"
        for one in own
        if not any(entry.places(one) for entry in exceptions)
    ]
    return new + [
        f"{entry.tool} {entry.rule} {place}: is not found any more: take it out of "
        f"{EXCEPTIONS.relative_to(ROOT)}"
        for entry in exceptions
        for place in entry.where
        if (entry, place) not in met
    ]


def blind(findings: Iterable[Finding]) -> list[str]:
    """Return what fails the check because a tool did not see the fault that it was shown."""
    seen = {(one.tool, one.rule) for one in findings if is_seeded(one)}
    return [
        f"{tool} did not find {rule} where it was put to be found: nobody knows what else it missed"
        for tool, rule in SEEDED.items()
        if (tool, rule) not in seen
    ]


def is_seeded(finding: Finding) -> bool:
    """Return whether a finding is of what was put there to be found."""
    return Path(finding.where).name.lower().startswith("seeded")


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
    exceptions = kept(EXCEPTIONS.read_text())
    failures += judge(findings, exceptions, asked) + blind(findings)
    if failures:
        sys.exit("\n".join(failures))
    print(f"{', '.join(sorted(asked))}: nothing but what {len(exceptions)} exceptions allow")


if __name__ == "__main__":
    command_line.parser("local.gates", __doc__, "make check").parse_args()
    main()
