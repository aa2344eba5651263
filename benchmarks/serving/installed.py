"""The folders that the functions run on, each installed once for the same requirements.

Versions come from uv.lock; the layers and the function's code are made by their own Makefiles, as
`sam build` does.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.shown import BUILD
from local.template import ROOT

UV = ROOT / ".uv" / "bin" / "uv"
PIP_PYTHON = ROOT / ".uv" / "bin" / "python"
LAYERS = ROOT / "layers" / "serving"
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
# The interpreter itself: that of .venv would bring everything that is installed there.
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


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

    def build(folder: Path) -> None:
        run("make", "-C", LAYERS, f"build-{name.title()}Layer", f"ARTIFACTS_DIR={folder}",
            f"PYTHON={PIP_PYTHON}", f"ARCHITECTURE={ARCHITECTURE}")  # fmt: skip

    made_from = [LAYERS / "Makefile", LAYERS / "trim.py", LAYERS / f"{name}.txt"]
    wanted = "".join(path.read_text() for path in made_from)
    return cached(f"layer-{name}", wanted, build) / "python"


def function() -> Path:
    """Return the code of the function as its Makefile builds it, always anew."""
    folder = BUILD / "function"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("make", "-C", ROOT / "functions", "build-PredictFunction", f"ARTIFACTS_DIR={folder}",
        f"PYTHON={PIP_PYTHON}")  # fmt: skip
    return folder


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


def run(*command: str | Path) -> str:
    """Run a command in the project's folder and return what it printed."""
    without = {"MAKEFLAGS", "MAKELEVEL", "PYTHONPATH"}
    environment = {key: value for key, value in os.environ.items() if key not in without}
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
                          env=environment)  # fmt: skip
    return done.stdout
