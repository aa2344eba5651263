"""Take a pipeline that was fitted elsewhere through the gates, on the user's own machine alone."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console


def import_model(_: Console, errors: Console, asked: Namespace) -> bool:
    """Do what `make import` does: load the file here, beside the endpoint's file, and judge it."""
    if not Path("local", "train.py").is_file():
        errors.print("Run it in the folder of your project: the endpoint's file stands there.")
        return False
    words = ["--endpoint", asked.endpoint, "--model", str(asked.file), "--runtime", asked.runtime]
    words += ["--data", str(asked.data)] if asked.data else []
    environment = os.environ | {"PYTHONPATH": "functions:."}
    command = [sys.executable, "-m", "local.train", *words]
    return subprocess.run(command, env=environment, check=False).returncode == 0  # noqa: S603 - ours
