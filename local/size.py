"""Print the size of each package that `make build` made, beside our budget and Lambda's limit."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docker.errors import ImageNotFound
from rich.console import Console
from rich.table import Table
from samcli.yamlhelper import yaml_parse

from local import command_line, template
from local.plane import containers

BUILT = template.ROOT / ".aws-sam" / "build"
MIB = 1024 * 1024
UNZIPPED_LIMIT = 262_144_000  # bytes of a function's code and its layers
IMAGE_LIMIT = 10 * 1024 * MIB
BUDGETS = {"OnnxLayer": 110 * MIB, "SklearnLayer": 215 * MIB}  # each with the code of predict


@dataclass(frozen=True)
class Package:
    """What Lambda unpacks for a function; sizes in bytes."""

    name: str
    size: int
    budget: int
    limit: int


def main() -> None:
    """Print all packages, and exit with an error if one is above its budget."""
    table = Table()
    for name in ("package", "MiB", "budget", "Lambda's limit"):
        table.add_column(name, justify="left" if name == "package" else "right")
    above = []
    for package in [*zips(BUILT), *images(BUILT)]:
        sizes = (package.size, package.budget, package.limit)
        table.add_row(package.name, *(f"{size / MIB:,.1f}" for size in sizes))
        if package.size > package.budget:
            above.append(package.name)
    Console().print(table)
    if above:
        sys.exit(f"above the budget: {', '.join(above)}")


def zips(built: Path) -> Iterator[Package]:
    """Yield predict with each of its layers; SystemExit says what to do where one is missing."""
    for layer, budget in BUDGETS.items():
        size = _unzipped(built / "PredictFunction") + _unzipped(built / layer)
        yield Package(f"predict + {layer}", size, budget, UNZIPPED_LIMIT)


def _unzipped(folder: Path) -> int:
    if not folder.is_dir():
        raise SystemExit(f"{folder.name} is not built: run `make build`")
    return sum(
        os.lstat(os.path.join(root, name)).st_size
        for root, _, names in os.walk(folder)
        for name in names
    )


def images(built: Path) -> Iterator[Package]:
    """Yield the images that the built template names."""
    file = built / "template.yaml"
    if not file.is_file():
        raise SystemExit("the last build failed: run `make build`")
    resources = yaml_parse(file.read_text())["Resources"].values()
    names = {resource.get("Properties", {}).get("ImageUri") for resource in resources}
    for name in sorted(names - {None}):
        try:
            size = int(containers.client().images.get(name).attrs["Size"])
        except ImageNotFound as error:
            raise SystemExit(f"Docker has no image {name}: run `make build`") from error
        yield Package(f"image {name}", size, IMAGE_LIMIT, IMAGE_LIMIT)


if __name__ == "__main__":
    command_line.parser("local.size", __doc__, "make size").parse_args()
    main()
