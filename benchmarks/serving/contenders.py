"""Who is measured: each with the folders that Lambda would give it, and an environment."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.installed import BUILD, Folders
from benchmarks.serving import cloud
from local.cloud.resources import CREDENTIALS
from local.template import translate

HANDLERS = Path(__file__).parent / "handlers"

EMPTY = "empty"
PATTERN = "pattern"
NOPYC = "pattern, no .pyc"


@dataclass(frozen=True)
class Contender:
    """A handler and the world that it runs in.

    path: what is imported from, as Lambda orders it: function, layer, runtime.
    warm: whether it is asked again after the first answer.
    """

    name: str
    handler: str
    path: list[Path]
    variables: dict[str, str] = field(default_factory=lambda: dict(CREDENTIALS))
    warm: bool = True


def ours(runtime: str, capture: str) -> str:
    """Return the name of a contender of ours."""
    return f"{runtime}, capture {capture}"


def contenders(folders: Folders, url: str) -> Iterator[Contender]:
    """Yield every contender."""
    beside = handlers()
    yield Contender(EMPTY, "empty.handler", [beside, folders.runtime])
    for name, packages in ((PATTERN, folders.pattern), (NOPYC, folders.pattern_nopyc)):
        path = [beside, packages, folders.runtime]
        yield Contender(name, "pattern.handler", path, warm=name == PATTERN)
    translated = translate()
    for runtime, layer in folders.layers.items():
        for capture in ("off", "on"):
            variables = cloud.variables(
                translated, ServingRuntime=runtime, Capture=capture, AwsEndpointUrl=url
            )
            yield Contender(
                ours(runtime, capture),
                "predict.handler",
                [beside, folders.function, layer, folders.runtime],
                CREDENTIALS | variables,
            )


def handlers() -> Path:
    """Return a folder with our handlers and the pipeline, as a user would deploy them."""
    folder = BUILD / "handlers"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HANDLERS, folder, ignore=shutil.ignore_patterns("__*__*"))
    shutil.copy(BUILD / cloud.PIPELINE, folder)
    return folder
