"""Who is measured: each with the folders that Lambda would give it, and an environment.

The folders are installed once for the same requirements. Versions come from uv.lock; the layers and
the function's code are made by their own Makefiles, as `sam build` does.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import cloud
from benchmarks.shown import BUILD
from local.cloud.resources import CREDENTIALS
from local.template import ROOT, translate

HANDLERS = Path(__file__).parent / "handlers"
UV = ROOT / ".uv" / "bin" / "uv"
PIP_PYTHON = ROOT / ".uv" / "bin" / "python"
LAYERS = ROOT / "layers" / "serving"
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
# The interpreter itself: that of .venv would bring everything that is installed there.
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"

EMPTY = "empty"
PATTERN = "pattern"
NOPYC = "pattern, no .pyc"
OURS = "{}, capture {}"  # a ServingRuntime, and off or on


class Contender(NamedTuple):
    """A handler and the world that it runs in.

    path: what is imported from, as Lambda orders it: function, layer, runtime.
    """

    name: str
    handler: str
    path: list[Path]
    variables: Mapping[str, str] = CREDENTIALS


def contenders(url: str) -> Iterator[Contender]:
    """Yield every contender; url: of S3 and Firehose."""
    beside, function = BUILD / "handlers", BUILD / "function"
    for folder in (beside, function):  # always anew
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HANDLERS, beside, ignore=shutil.ignore_patterns("__*__*"))
    shutil.copy(cloud.PIPELINE, beside)
    function.mkdir()
    make(ROOT / "functions", "build-PredictFunction", function)
    compiled, translated = "--compile-bytecode", translate()
    runtime = packages("bench", "runtime", compiled)
    yield Contender(EMPTY, "empty.handler", [beside, runtime])
    for name, folder_name, *more in ((PATTERN, "pattern", compiled), (NOPYC, "pattern-nopyc")):
        path = [beside, packages("pattern", folder_name, *more), runtime]
        yield Contender(name, "pattern.handler", path)
    for serving in ("onnx", "sklearn"):
        path = [beside, function, layer(serving), runtime]
        for capture in ("off", "on"):
            variables = CREDENTIALS | cloud.variables(
                translated, ServingRuntime=serving, Capture=capture, AwsEndpointUrl=url
            )
            yield Contender(OURS.format(serving, capture), "predict.handler", path, variables)


def packages(group: str, name: str, *more: str) -> Path:
    """Return a folder with the packages of a group of pyproject.toml; more: options of uv."""
    wanted = run(UV, "export", "--locked", "--quiet", "--no-header", "--only-group", group)

    def install(folder: Path) -> None:
        requirements = folder / "requirements.txt"
        requirements.write_text(wanted)
        run(UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", *more,
            "--python", PYTHON, "--target", folder, "--requirements", requirements)  # fmt: skip

    return cached(name, wanted, install)


def layer(name: str) -> Path:
    """Return the layer of a ServingRuntime as its Makefile builds it."""
    made_from = [LAYERS / "Makefile", LAYERS / "trim.py", LAYERS / f"{name}.txt"]
    wanted = "".join(path.read_text() for path in made_from)
    build = lambda folder: make(LAYERS, f"build-{name.title()}Layer", folder)  # noqa: E731 - as install
    return cached(f"layer-{name}", wanted, build) / "python"


def cached(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder that was built for a key, or build it; older ones of this name go.

    Each is a copy: how a file was written decides how much of it Linux maps at once, and pip and uv
    write differently, which alone made a fifth of a function's memory.
    """
    folder = BUILD / name / hashlib.sha256(key.encode()).hexdigest()[:12]
    if not folder.exists():
        print(f"Building {folder.relative_to(ROOT)} …", flush=True)
        shutil.rmtree(folder.parent, ignore_errors=True)
        unfinished, copied = folder.with_suffix(".part"), folder.with_suffix(".copy")
        unfinished.mkdir(parents=True)
        build(unfinished)
        shutil.copytree(unfinished, copied, symlinks=True)
        copied.rename(folder)
        shutil.rmtree(unfinished)
    return folder


def make(where: Path, target: str, folder: Path) -> None:
    """Build what sam would build, into a folder."""
    run("make", "-C", where, target, f"ARTIFACTS_DIR={folder}", f"PYTHON={PIP_PYTHON}",
        f"ARCHITECTURE={ARCHITECTURE}")  # fmt: skip


def run(*command: str | Path) -> str:
    """Run a command in the project's folder and return what it printed."""
    without = {"MAKEFLAGS", "MAKELEVEL", "PYTHONPATH"}
    environment = {key: value for key, value in os.environ.items() if key not in without}
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
                          env=environment)  # fmt: skip
    return done.stdout
