"""What every command of the project says to --help: what it does, its options, an example."""

import argparse


def parser(module: str, description: str | None, example: str) -> argparse.ArgumentParser:
    """Return the parser of `python -m module`, with an example below its options."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, epilog=f"Example: {example}"
    )
