"""Cut what botocore knows of AWS down to what predict and feedback call.

At each cold start it lists the folders of all services, parses all that S3 can do, and where all of
AWS's services are. What it parses is written without white space, of which S3's rules are mostly.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# Each operation that functions/evergreen/aws/s3.py, seal.py and records.py call for a request.
CALLED = {
    "s3": ["GetObject", "ListObjectsV2"],
    "kms": ["VerifyMac"],
    "firehose": ["PutRecordBatch"],
}


def main(data: Path) -> None:
    """Trim botocore/data in place."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in CALLED:
            shutil.rmtree(folder)
    for service, operations in CALLED.items():
        for file in (data / service).glob("*/*.json.gz"):
            found = json.loads(gzip.decompress(file.read_bytes()))
            if file.name == "service-2.json.gz":
                found = trimmed(found, operations)
            written = json.dumps(found, separators=(",", ":")).encode()
            file.write_bytes(gzip.compress(written, mtime=0))
    file = data / "endpoints.json"
    places = json.loads(file.read_bytes())
    for partition in places["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in CALLED if name in services}
    file.write_text(json.dumps(places))


def trimmed(description: dict[str, Any], operations: list[str]) -> dict[str, Any]:
    """Return a service's description with some of its operations, and the shapes that they need."""
    kept = {name: description["operations"][name] for name in operations}
    shapes: dict[str, Any] = {}
    waiting = _references(kept)
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = description["shapes"][name]
            waiting |= _references(shapes[name])
    return description | {"operations": kept, "shapes": shapes}


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["shape"]} if isinstance(value.get("shape"), str) else set()
    return own.union(*map(_references, value.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
