"""Erase what a stack has recorded of some predictions: `evergreen erase` runs it."""

import sys
from argparse import ArgumentParser
from pathlib import Path

import boto3

from evergreen.aws.s3 import Store
from evergreen.captures.erasure import erase
from evergreen.contract.identifiers import PREDICTION


def main() -> None:
    """Erase the predictions that a file names from a bucket, and say what was changed."""
    parser = ArgumentParser(prog="evergreen erase")
    for name in ("bucket", "endpoint", "ids"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    try:
        ids = Path(asked.ids).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{asked.ids} cannot be read as text: {error}")
    odd = next((n for n, each in enumerate(ids, 1) if not PREDICTION.fullmatch(each)), None)
    if odd or not ids:
        sys.exit(
            f"{asked.ids}: {f'word {odd} is no id of a prediction' if odd else 'there is no id'}; "
            "write ids as predict answers them, one a line. Nothing was erased"
        )
    changed = erase(Store(boto3.client("s3"), asked.bucket), asked.endpoint, ids, lambda _: None)
    for folder, n in changed.items():
        print(f"{folder}: {n:,} object{'s' * (n > 1)} written again")
    print(
        f"{len(ids):,} predictions are erased, as far as the data bucket had them. Training files, "
        "versions that learnt from their rows, and for 30 days what S3 keeps of overwritten "
        "objects may still hold them: docs/personal-data.md says what to do"
    )


if __name__ == "__main__":
    main()
