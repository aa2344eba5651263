"""A deployment in this process, from nothing to a champion: what serve and train stand on."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import IO, cast
from unittest.mock import patch

import boto3
import msgspec
from rich.console import Console

from evergreen.aws.s3 import Store, Stored
from evergreen.aws.signing import Seal
from evergreen.contract import endpoint_files
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import EvergreenError
from evergreen.contract.identifiers import endpoint_file
from evergreen.registry.registry import Registry
from local import template
from local.cloud import resources, shortcuts
from local.cloud.permissions import check_refused
from local.plane.plane import Plane
from local.plane.process import Process

RUNTIMES = ("onnx", "sklearn")  # as ServingRuntime in the template
FLIGHTS = ("flight-delay", "air-time")  # learn from those of January


@contextmanager
def deployed(
    log: IO[str] | None = None, shown: IO[str] | None = None, /, **parameters: str
) -> Iterator[Plane]:
    """Deploy the template into moto; parameters override its defaults.

    log: gets what functions print; shown: what an endpoint's own file prints.

    Raises TemplateError at the end where a function's role lacked something.
    """
    resolved = template.load(parameters)
    with resources.started(), shortcuts.taken():
        resources.create(resolved)
        plane = Plane(resolved, log, runtime=Process(log, shown))
        yield plane
        check_refused(plane.roles)


def progress(log: IO[str], console: Console) -> IO[str]:
    """Return a log that also shows each candidate as it is fitted."""
    return cast(IO[str], _Progress(log, console.file))  # while functions run, sys.stdout is another


class _Progress:
    """Reads what training.train_version logs."""

    def __init__(self, log: IO[str], out: IO[str]) -> None:
        self.log, self.out, self.began = log, out, 0.0

    def write(self, text: str) -> int:
        if '"fitting a candidate"' in text or '"fitted a candidate"' in text:
            found = msgspec.json.decode(text)
            if "said" in found:
                seconds = time.perf_counter() - self.began
                print(f"{seconds:.1f} s, {found['said']}", file=self.out)
            else:
                self.began, of = time.perf_counter(), f"({found['number']} of {found['of']})"
                said = f"fitting {found['candidate']} on {found['history']} {of} … "
                print(said, end="", file=self.out, flush=True)
        return self.log.write(text)

    def flush(self) -> None:
        self.log.flush()


def registry() -> Registry:
    """Return the model registry of the deployment."""
    seal = Seal(boto3.client("kms"), template.key_id("ManifestKey"))
    return Registry(Store(boto3.client("s3"), template.physical_name("ArtifactBucket")), seal)


def on_disk(parts: Mapping[str, Path]) -> Store:
    """Return files of this machine, by their keys, as a training reads them from a bucket."""
    disk = SimpleNamespace(keys=lambda _: iter(parts), names=lambda _: ())
    disk.get = lambda key, most: Stored(parts[key].read_bytes()[:most], "")
    return cast(Store, disk)


def data() -> Store:
    """Return the data bucket of the deployment."""
    return Store(boto3.client("s3"), template.physical_name("DataBucket"))


def training_file(endpoint: str, data: Path | None, folder: Path) -> Path:
    """Return the training data that was named, or that of an endpoint of the template.

    Raises SystemExit that says what to do where there is none, or the endpoint's file is faulty.
    """
    try:
        endpoint_files.load(endpoint)
    except EvergreenError as error:
        raise SystemExit(str(error)) from error
    if data is not None:
        if not data.exists():
            raise SystemExit(f"{data} is neither a file nor a folder of parts")
        return data
    if endpoint in FLIGHTS:
        from local.samples import flights

        return flights.january(flights.flights(), folder)
    if endpoint == "weather-tomorrow":
        from local.samples import packaged

        return packaged.folder("vega_datasets", "_data") / "seattle-weather.csv"
    raise SystemExit(f"{endpoint} needs its training data: ENDPOINT={endpoint} DATA=file")


def parts(endpoint: str, data: Path) -> dict[str, Path]:
    """Return the files of training data, a file or a folder of parts, by their keys."""
    files = [path for path in [data, *sorted(data.rglob("*"))] if path.is_file()]
    folder = data.resolve().parent
    return {f"training/{endpoint}/{path.resolve().relative_to(folder)}": path for path in files}


def upload(plane: Plane, endpoint: str, file: Path) -> None:
    """Put training data into the data bucket, and let what follows from it happen."""
    for key, part in parts(endpoint, file).items():
        data().put(key, part.read_bytes())
    plane.settle()


def changed(name: str, endpoint: Endpoint) -> AbstractContextManager[object]:
    """Put an endpoint in the place of that in a file, for the functions of this process."""
    module = import_module(f"endpoints.{endpoint_file(name).stem}")
    return patch.object(module, "endpoint", endpoint)
