"""Remove each defence in turn, in a copy of the project, and see that a named test fails.

Ends with 1 if a test still passes without its defence, or fails with it.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console

from local import command_line
from tests.mutation.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".uv", ".checkov", ".aws-sam", "build", ".*_cache", "__pycache__"
)
AT_ONCE = 2
SECONDS = 300  # none takes a quarter of it; a test that hangs without its defence has failed too
ALL_SECONDS = 1800  # of all tests, with their defences
PASSED, FAILED = 0, 1  # pytest's; others mean that it did not run the test
ENDLESS = -1
SAID = {PASSED: "NOT NOTICED", FAILED: "noticed", ENDLESS: "noticed, it did not end"}


def copied(folder: Path) -> Path:
    """Copy the project to where it can be broken."""
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    (folder / ".venv").symlink_to(ROOT / ".venv")  # tests run what is installed in it
    return folder


def outcome(project: Path, *tests: str, seconds: float = SECONDS) -> int:
    """Run tests in a copy and return how pytest ended."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=project, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return ENDLESS
    if len(tests) > 1 and done.returncode != PASSED:
        sys.stderr.write(done.stdout.decode()[-3000:])
    return done.returncode


def removed(mutation: Mutation, project: Path) -> int:
    """Run a test without its defence, put the defence back, and return how pytest ended."""
    file = project / mutation.file
    whole = file.read_text()
    assert whole.count(mutation.old) == 1, f"{mutation.defence}: the text stands there not once"
    file.write_text(whole.replace(mutation.old, mutation.new))
    try:
        return outcome(project, mutation.test)
    finally:
        file.write_text(whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Remove those defences whose name has a word in it, or all of them."""
    parser = command_line.parser("tests.mutation.mutate", __doc__, "make mutate ONLY=signature")
    parser.add_argument("--only", default="", help="only defences with this word in their name")
    only = parser.parse_args(arguments).only
    chosen = [mutation for mutation in MUTATIONS if only in mutation.defence]
    if not chosen:
        parser.error(
            f"no defence has {only!r} in its name: tests/mutation/mutations.toml has them all"
        )
    console = Console(highlight=False, soft_wrap=True)
    projects: SimpleQueue[Path] = SimpleQueue()

    def judged(mutation: Mutation) -> int:
        project = projects.get()
        try:
            return removed(mutation, project)
        finally:
            projects.put(project)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            projects.put(copied(Path(folder) / f"{number}"))
        tests = sorted({mutation.test for mutation in chosen})
        console.print(f"{len(tests)} tests with their defences, then {len(chosen)} without one")
        if outcome(project := projects.get(), *tests, seconds=ALL_SECONDS) != PASSED:
            sys.exit("a test fails with its defence: mend that first")
        projects.put(project)
        survived = 0
        for mutation, found in zip(chosen, pool.map(judged, chosen), strict=True):
            survived += found not in (FAILED, ENDLESS)
            said = SAID.get(found, f"NOT RUN, pytest ended with {found}")
            console.print(f"{mutation.promise:>3}  {mutation.defence}: {said}  {mutation.test}")
    console.print(f"{len(chosen) - survived} of {len(chosen)} removed defences were noticed")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
