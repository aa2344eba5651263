"""Who is measured: each with the folders that Lambda would give it, and an environment."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import cloud, installed
from benchmarks.shown import BUILD
from local.cloud.resources import CREDENTIALS
from local.template import translate

HANDLERS = Path(__file__).parent / "handlers"

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
    compiled = "--compile-bytecode"
    runtime = installed.packages("bench", "runtime", compiled)
    beside = handlers()
    yield Contender(EMPTY, "empty.handler", [beside, runtime])
    for name, folder, *more in ((PATTERN, "pattern", compiled), (NOPYC, "pattern-nopyc")):
        packages = installed.packages("pattern", folder, *more)
        yield Contender(name, "pattern.handler", [beside, packages, runtime])
    function, translated = installed.function(), translate()
    for serving in ("onnx", "sklearn"):
        path = [beside, function, installed.layer(serving), runtime]
        for capture in ("off", "on"):
            variables = CREDENTIALS | cloud.variables(
                translated, ServingRuntime=serving, Capture=capture, AwsEndpointUrl=url
            )
            yield Contender(OURS.format(serving, capture), "predict.handler", path, variables)


def handlers() -> Path:
    """Return a folder with our handlers and the pipeline, as a user would deploy them."""
    folder = BUILD / "handlers"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HANDLERS, folder, ignore=shutil.ignore_patterns("__*__*"))
    shutil.copy(BUILD / cloud.PIPELINE, folder)
    return folder
