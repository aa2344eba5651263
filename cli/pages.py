"""Commands that open a page in a browser."""

import webbrowser
from argparse import Namespace
from pathlib import Path

from cli.commands import Session
from cli.training_data import run_module


def console(session: Session, asked: Namespace) -> bool:
    """Open the console: that of `make serve` as it is, that of a stack by a door that signs."""
    return _opened(session, asked, "/")


def show(session: Session, asked: Namespace) -> bool:
    """Open the console at the page of an endpoint, at a model card, or at the newest check."""
    path = f"/console/{asked.endpoint}"
    if asked.report:
        path += "/check"
    elif asked.card is not None:
        champion = session.get("endpoints", asked.endpoint)["champion"]
        path += f"/versions/{asked.card or champion}"
    return _opened(session, asked, path)


def _opened(session: Session, asked: Namespace, path: str) -> bool:
    if not session.api.signature:
        session.out.print(session.api.url + path, soft_wrap=True)
        webbrowser.open(session.api.url + path)
        return True
    if not Path("local", "console").is_dir():
        session.errors.print("Run it in the folder of your project: the console's pages are there.")
        return False
    words = ["--url", session.api.url, "--config-env", asked.config_env, "--path", path]
    return run_module("local.console", *words)
