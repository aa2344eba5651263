"""What else commands do: upload data, judge a model of others, move the clock of `make serve`."""

import hashlib
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from rich.console import Console

from cli import shown
from cli.api import Api, data_bucket
from cli.commands import Session, agreed, outcome, summary

DAY_SECONDS = 86_400.0
TEXTS = ("csv", "tsv", "json", "jsonl", "ndjson")
ENDINGS = (".parquet", *(f".{name}{gz}" for name in TEXTS for gz in ("", ".gz")))
CLOCKS_APART = timedelta(seconds=2)  # of the S3 that answers, and of the event that it sends


def upload(session: Session, asked: Namespace) -> bool:
    """Upload a training file, and wait for the training if that is wanted."""
    if (body := _read(session, asked, "training", ENDINGS)) is None:
        return False
    at = _put(session, asked, "training", body)
    return not asked.wait or outcome(session, asked, uploaded=f"{at:%Y%m%dT%H%M%SZ}")


def batch(session: Session, asked: Namespace) -> bool:
    """Put a file where it is scored, and wait for what comes of it if that is wanted."""
    session.get("endpoints", asked.endpoint)  # refused where nothing can score it
    plain = [end for end in ENDINGS if not end.endswith(".gz")]
    if (body := _read(session, asked, "batch", plain)) is None:
        return False
    tag = hashlib.md5(body, usedforsecurity=False).hexdigest()[:12]  # as S3 names what it holds
    folder = f"{re.sub(r'[^a-zA-Z0-9_.-]', '_', asked.file.name)}-{tag}"
    at = _put(session, asked, "batch/in", body)
    session.errors.print(f"Its scores come under batch/out/{asked.endpoint}/{folder}/")
    return not asked.wait or summary(session, asked, folder, at)


def _read(session: Session, asked: Namespace, what: str, ends: Sequence[str]) -> bytes | None:
    """Return a file's bytes; None, and a reason, where nothing would read it there."""
    if said := why_not(asked.file.name, what, ends):
        session.errors.print(f"{said}; of a folder, upload each file")
        return None
    try:
        return bytes(asked.file.read_bytes())
    except OSError as error:
        session.errors.print(f"{asked.file} cannot be read: {error.strerror}")
        return None


def why_not(file: str, what: str = "training", ends: Sequence[str] = ENDINGS) -> str:
    """Return why a file of this name would not be read, or an empty text."""
    if file.startswith(("_", ".")) or not file.lower().endswith(tuple(ends)):
        return (
            f"{file} is not uploaded, for no {what} would read it: a name ends in one of "
            f"{', '.join(ends)}, and begins with neither _ nor ."
        )
    return ""


def _put(session: Session, asked: Namespace, prefix: str, body: bytes) -> datetime:
    """Put a file into the data bucket; return when, by the clock that its event will have."""
    key = f"{prefix}/{asked.endpoint}/{asked.file.name}"
    at = put(session.api, asked.config_env, key, body)
    follows = "a training follows" if prefix == "training" else "it will be scored"
    session.errors.print(f"{key} is uploaded, {len(body):,} bytes, and {follows}.")
    return at


def put(api: Api, config_env: str, key: str, body: bytes) -> datetime:
    """Put an object into the data bucket of a stack, or of `make serve`; return when."""
    if not api.signature:
        return datetime.fromisoformat(api.put("local", *key.split("/"), body=body)["time"])
    s3, bucket = data_bucket(api, config_env)
    answer = s3.put_object(Bucket=bucket, Key=key, Body=body)["ResponseMetadata"]
    return parsedate_to_datetime(answer["HTTPHeaders"]["date"]) - CLOCKS_APART


def files(session: Session, asked: Namespace) -> bool:
    """List the training files of an endpoint of a stack; first take one back, if so asked."""
    folder, (s3, bucket) = f"training/{asked.endpoint}/", data_bucket(session.api, asked.config_env)
    if asked.remove:
        s3.delete_object(Bucket=bucket, Key=folder + asked.remove.removeprefix(folder))
    found = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    return session.show(found.build_full_result(), shown.files)


def erase(session: Session, asked: Namespace) -> bool:
    """Erase what a stack has recorded of some predictions."""
    session.errors.print(f"Predictions of {asked.endpoint} that {asked.ids} names are erased.")
    if not asked.yes and not agreed(session):
        session.errors.print("Nothing was erased.")
        return False
    _, bucket = data_bucket(session.api, asked.config_env)
    words = ["--bucket", bucket, "--endpoint", asked.endpoint, "--ids", str(asked.ids)]
    return run_module("cli.erase", *words)


def import_model(_: Console, errors: Console, asked: Namespace) -> bool:
    """Do what `make import` does: load the file here and judge it; enter it, if that is asked."""
    if not Path("local", "train.py").is_file():
        errors.print("Run it in the folder of your project: the endpoint's file stands there.")
        return False
    given = {"endpoint": asked.endpoint, "model": asked.file, "runtime": asked.runtime}
    given |= {"data": asked.data, "enter": asked.config_env if asked.enter else None}
    words = [word for name, value in given.items() if value for word in (f"--{name}", str(value))]
    return run_module("local.train", *words)


def run_module(module: str, *words: str) -> bool:
    """Run a module of the project, whose libraries this command does without."""
    own = {**os.environ, "PYTHONPATH": "functions:."}
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, env=own, check=False).returncode == 0  # noqa: S603 - ours


def clock(session: Session, asked: Namespace) -> bool:
    """Move the clock of `make serve`, a day at a time; say what was announced meanwhile."""
    session.api.require_local("a clock that can be moved")
    days, rest = divmod(asked.by, DAY_SECONDS)
    for seconds in [DAY_SECONDS] * int(days) + [rest] * (rest > 0 or not days):
        with session.errors.status("Letting time pass …"):
            answer = session.api.post("local", "clock", seconds=seconds)
        session.show(answer, shown.passed)
    return True
