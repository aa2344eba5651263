"""A copy for each kind of problem works at once, and a next release keeps all that is its own.

It is made by copier from a clone of this repository with its changes, as a release with a tag; its
commands run with the packages that are installed here, and not with copies of them.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.template import ROOT

KINDS = ("binary", "multiclass", "regression")
ANSWERED = """
import json, sys
from pathlib import Path
import msgspec, numpy as np
from evergreen.contract.schema import columns_of
from evergreen.registry.manifest import Manifest
from evergreen.serving import runtime_onnx
folder = Path(sys.argv[1])
manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
rows = [row for row, _ in manifest.golden]
score = runtime_onnx.scorer((folder / "model.onnx").read_bytes(), manifest.inputs)
scores = score(columns_of(manifest.schema, rows))
assert np.allclose(scores, [given for _, given in manifest.golden])
print(json.dumps(scores.tolist()))
"""


def git(folder: Path, *words: str) -> str:
    named = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ["git", *named, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(folder: Path, *words: str | Path, code: int = 0) -> str:
    """Run a command in a folder, with the packages of this repository; return what it says."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "PYTHONPATH": "functions:."}
    environment |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def make(folder: Path, *words: str, code: int = 0) -> str:
    """Run make in a copy, whose packages need no installation."""
    for place in (".venv", ".uv", ".checkov"):
        if not (folder / place).exists() and (ROOT / place).exists():
            (folder / place).symlink_to(ROOT / place)
    there = ("-o", ".venv/ready", "-o", ".checkov/ready")
    return run(folder, "make", "--no-print-directory", *there, *words, code=code)


def copied(release: Path, into: Path, problem: str) -> Path:
    """Return a copy of a release, in a repository of its own."""
    answers = ("-d", "name=my-parcels", "-d", "endpoint=parcel-late", "-d", f"problem={problem}")
    copier = ROOT / ".venv" / "bin" / "copier"
    run(into.parent, copier, "copy", "--quiet", "--defaults", *answers, release, into)
    git(into, "init", "--quiet")
    (into / ".git" / "info" / "exclude").write_text(".venv\n.uv\n.checkov\n")  # links, see `make`
    kept(into)
    return into


def kept(copy: Path) -> None:
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "what is here")


def replaced(file: Path, old: str, new: str) -> None:
    """Replace what stands once in a file."""
    text = file.read_text()
    assert text.count(old) == 1, file
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of these files as they are now, with the tag of a release."""
    clone = tmp_path_factory.mktemp("release") / "evergreen"
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    shutil.copytree(ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(".git", *ignored))
    git(clone, "init", "--quiet")
    git(clone, "remote", "add", "origin", str(ROOT))
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Release")
    git(clone, "tag", "v1.0.0")
    return clone


@pytest.mark.parametrize("problem", KINDS)
def test_a_copy_has_no_sample_and_trains_keeps_its_tests_and_its_style(
    release: Path, tmp_path: Path, problem: str
) -> None:
    copy = copied(release, tmp_path / "copy", problem)

    said = make(copy, "train")
    make(copy, "test")
    for words in (("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        run(copy, copy / ".venv" / "bin" / words[0], *words[1:])

    assert "Model Promoted" in said
    assert "hist-gradient-boosting" in said
    endpoints = {path.name for path in (copy / "functions" / "endpoints").glob("*.py")}
    assert endpoints == {"__init__.py", "parcel_late.py"}
    for gone in ("benchmarks", "local/samples", "local/demo/flights"):
        assert not (copy / gone).exists()


@pytest.mark.parametrize(("folder", "name"), [("9 Lives", "lives"), ("7", "evergreen")])
def test_a_folder_of_any_name_makes_a_project_with_a_name_that_a_stack_may_have(
    release: Path, tmp_path: Path, folder: str, name: str
) -> None:
    copier = ROOT / ".venv" / "bin" / "copier"
    run(tmp_path, copier, "copy", "--quiet", "--defaults", release, tmp_path / folder)

    answers = (tmp_path / folder / ".copier-answers.yml").read_text()
    assert f"name: {name}\n" in answers
    assert "endpoint: my-endpoint\n" in answers


def test_a_release_keeps_what_is_one_s_own_and_the_champion_answers_as_before(
    release: Path, tmp_path: Path
) -> None:
    copy = copied(release, tmp_path / "copy", "binary")
    make(copy, "train")
    (trained,) = (copy / "build" / "train" / "parcel-late").iterdir()
    before = run(copy, copy / ".venv" / "bin" / "python", "-c", ANSWERED, trained)
    own = customised(copy)
    released(release)

    said = make(copy, "update")

    assert "uv.lock: yours is kept" in said
    after = run(copy, copy / ".venv" / "bin" / "python", "-c", ANSWERED, trained)
    assert after == before
    assert json.loads(after)
    for file, text in own.items():
        assert text in (copy / file).read_text(), file
    assert "v1.1.0" in (copy / ".copier-answers.yml").read_text()
    assert "# of the next release" in (copy / "functions" / "predict.py").read_text()
    assert "TheirFunction" in (copy / "template.yaml").read_text()
    assert "# of the next release" in (copy / "pyproject.toml").read_text()
    assert not (copy / "data" / "parcel-late.csv").exists()  # deleted, and not brought back
    assert not re.search("^(<<<<<<<|>>>>>>>)", git(copy, "diff", "HEAD"), re.MULTILINE)
    run(copy, copy / ".venv" / "bin" / "mypy")
    run(copy, copy / ".uv" / "bin" / "uv", "lock", "--check", "--offline")


def customised(copy: Path) -> dict[str, str]:
    """Change what is one's own in a copy, and return a part of each file that must stay."""
    replaced(
        copy / "functions" / "endpoints" / "parcel_late.py", "LATE_HOURS = 48", "LATE_HOURS = 50"
    )
    replaced(copy / "README.md", "# my-parcels\n", "# Parcels of ours\n")
    replaced(copy / "samconfig.toml", 'LogRetentionDays="30"', 'LogRetentionDays="60"')
    (copy / "project.mk").write_text("ENDPOINT ?= parcel-late\nSEED ?= 7\n")
    (copy / "data" / "parcel-late.csv").rename(copy / "data" / "ours.csv")
    replaced(
        copy / "template.yaml",
        "  # ---- End of your own parameters.\n",
        "  OurBudget:\n    Type: Number\n    Default: 5\n  # ---- End of your own parameters.\n",
    )
    replaced(
        copy / "template.yaml",
        "  # ---- End of your own resources.\n",
        "  OurTable:\n    Type: AWS::DynamoDB::Table\n  # ---- End of your own resources.\n",
    )
    replaced(copy / "template.yaml", "    Default: 3000\n", "    Default: 2500\n")
    replaced(copy / "pyproject.toml", "own = [\n", 'own = [\n  "tabulate>=0.9",\n')
    make(copy, "lock")
    kept(copy)
    return {
        "functions/endpoints/parcel_late.py": "LATE_HOURS = 50",
        "README.md": "# Parcels of ours",
        "samconfig.toml": 'LogRetentionDays="60"',
        "project.mk": "SEED ?= 7",
        "data/ours.csv": "sent_at",
        "template.yaml": "  OurTable:\n    Type: AWS::DynamoDB::Table\n",
        "pyproject.toml": '"tabulate>=0.9"',
        "uv.lock": 'name = "tabulate"',
    }


def released(release: Path) -> None:
    """Make the next release: machinery, a resource, and a package beside that of the copy."""
    predict = release / "functions" / "predict.py"
    predict.write_text(predict.read_text() + "\n# of the next release\n")
    replaced(
        release / "template.yaml",
        "  DataBucketPolicy:\n",
        "  TheirFunction:\n    Type: AWS::SNS::Topic\n\n  DataBucketPolicy:\n",
    )
    replaced(
        release / "pyproject.toml",
        "pattern = [",
        'other = [\n  "rich>=15", # of the next release\n]\npattern = [',
    )
    (release / ".uv").symlink_to(ROOT / ".uv")
    run(release, release / ".uv" / "bin" / "uv", "lock", "--quiet")
    (release / ".uv").unlink()
    git(release, "commit", "--quiet", "--all", "--message", "The next release")
    git(release, "tag", "v1.1.0")


def test_the_zip_of_a_release_begins_a_project_by_sam_init(release: Path, tmp_path: Path) -> None:
    make(release, "release")
    (file,) = (release / "build").glob("*.zip")

    sam = (ROOT / ".venv" / "bin" / "sam", "init", "--no-interactive", "--name", "mine")
    run(tmp_path, *sam, "--location", file)

    copy = tmp_path / "mine"
    answers = (copy / ".copier-answers.yml").read_text()
    assert f"_commit: {file.stem.removeprefix('evergreen-')}\n" in answers
    assert f"_src_path: {ROOT}\n" in answers  # the origin of the clone, from where updates come
    assert (copy / "functions" / "endpoints" / "my_endpoint.py").exists()
    assert "Model Promoted" in make(copy, "train")
