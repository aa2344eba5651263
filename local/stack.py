"""A deployment in this process, from nothing to a champion: what serve and train stand on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import boto3

from evergreen.registry import Registry
from evergreen.store import Store
from local import aws, template
from local.plane import Plane


@contextmanager
def deployed(log: IO[str] | None = None, **parameters: str) -> Iterator[Plane]:
    """Deploy the template into moto; parameters override its defaults."""
    resolved = template.load(parameters)
    with aws.started():
        aws.create(resolved)
        yield Plane(resolved, log)


def registry() -> Registry:
    """Return the model registry of the deployment."""
    return Registry(Store(boto3.client("s3"), template.physical_name("ArtifactBucket")))


def data() -> Store:
    """Return the data bucket of the deployment."""
    return Store(boto3.client("s3"), template.physical_name("DataBucket"))


def upload(plane: Plane, endpoint: str, file: Path) -> None:
    """Put a training file into the data bucket, and let what follows from it happen."""
    data().put(f"training/{endpoint}/{file.name}", file.read_bytes())
    plane.settle()
