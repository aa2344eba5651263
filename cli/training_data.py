"""What the commands about training data do: uploads, and the clock of `make serve`."""

from argparse import Namespace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from cli import shown
from cli.api import store
from cli.commands import Session, outcome

DAY_SECONDS = 86_400.0
TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
ENDINGS = (".parquet", *(name + gz for name in TEXTS for gz in ("", ".gz")))  # that trainings read
CLOCKS_APART = timedelta(seconds=2)  # of the S3 that answers, and of the event that it sends


def upload(session: Session, asked: Namespace) -> bool:
    """Upload a training file, and wait for the training if that is wanted."""
    key = f"training/{asked.endpoint}/{asked.file.name}"
    if asked.file.is_dir():
        session.errors.print(
            f"{asked.file} is a folder: copy its files to the data bucket, as by "
            f"`aws s3 cp --recursive {asked.file} s3://BUCKET/{key}/`, or upload one file"
        )
        return False
    name = asked.file.name.lower()
    if name.startswith(("_", ".")) or not name.endswith(ENDINGS):
        session.errors.print(
            f"{asked.file} is not uploaded, for no training would read it: a name ends in one of "
            f"{', '.join(ENDINGS)}, and begins with neither _ nor ."
        )
        return False
    try:
        body = asked.file.read_bytes()
    except OSError as error:
        session.errors.print(f"{asked.file} cannot be read: {error.strerror}")
        return False
    if session.api.signature:
        at = parsedate_to_datetime(store(session.api, asked.config_env, key, body)) - CLOCKS_APART
    else:
        answer = session.api.put("local", *key.split("/"), body=body)
        at = datetime.fromisoformat(answer["time"])
    session.errors.print(f"{key} is uploaded, {len(body):,} bytes, and a training follows.")
    return not asked.wait or outcome(session, asked, uploaded=f"{at:%Y%m%dT%H%M%SZ}")


def clock(session: Session, asked: Namespace) -> bool:
    """Move the clock of `make serve`, a day at a time; say what was announced meanwhile."""
    session.api.require_local("a clock that can be moved")
    left = asked.by
    while True:
        seconds = min(left, DAY_SECONDS)
        with session.errors.status("Letting time pass …"):
            answer = session.api.post("local", "clock", seconds=seconds)
        session.show(answer, shown.passed)
        left -= seconds
        if left <= 0:
            return True
