"""Each limit that the served document says of a body is one: broken alone, it is refused.

schemathesis breaks several things at once, so that another fault may be the one that is noticed.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from evergreen.registry.manifest import Manifest
from local.plane.plane import Plane
from tests.faults.attacks.hostile import CONTROL, DECISION, POSTS
from tests.handlers.requests.test_predict import JSON
from tests.support.given import NAME

EXPERIMENT = {
    "generation": 2, "treatment": "x", "share": 0.5, "hypothesis": "h", "min_rows": 1, "days": 1.0,
}  # fmt: skip
VALID = POSTS | {
    f"{CONTROL}/experiments": json.dumps(EXPERIMENT).encode(),
    f"{CONTROL}/rollback": json.dumps(DECISION).encode(),
}


def wrong(spec: dict[str, Any], document: dict[str, Any], value: Any) -> Iterator[Any]:
    """Yield values that break one thing that a schema says, made from one that breaks none."""
    yield "a text" if isinstance(value, dict) else {"of": "no such type"}
    spec = resolved(spec, document)
    for each in (resolved(one, document) for one in spec.get("anyOf", [spec])):
        yield from out_of_bounds(each)
        if "items" in each and isinstance(value, list):
            for odd in wrong(each["items"], document, value[0]):
                yield [odd]
        if "properties" in each and isinstance(value, dict):
            yield from wrong_fields(each, document, value)


def resolved(spec: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in spec:
        return spec
    found: dict[str, Any] = document["components"]["schemas"][spec["$ref"].rpartition("/")[2]]
    return found


def out_of_bounds(spec: dict[str, Any]) -> Iterator[Any]:
    if "enum" in spec:
        yield "no such choice"
    if "minimum" in spec:
        yield spec["minimum"] - 1
    if "maximum" in spec:
        yield spec["maximum"] + 1
    yield from (spec[name] for name in ("exclusiveMinimum", "exclusiveMaximum") if name in spec)
    if spec.get("minLength"):
        yield ""
    if "maxLength" in spec:
        yield "x" * (spec["maxLength"] + 1)
    if "pattern" in spec:
        yield "!"
    if "minItems" in spec:
        yield []


def wrong_fields(
    spec: dict[str, Any], document: dict[str, Any], value: dict[str, Any]
) -> Iterator[Any]:
    if spec.get("additionalProperties") is False:
        yield value | {"unknown": 1}
    for name in spec.get("required", ()):
        yield {other: kept for other, kept in value.items() if other != name}
    for name, of in spec["properties"].items():
        for odd in wrong(of, document, value.get(name)):
            yield value | {name: odd}


@pytest.mark.parametrize("path", VALID)
def test_each_limit_that_the_document_says_of_a_body_is_refused_alone(
    plane: Plane, candidate: Manifest, path: str
) -> None:
    document = plane.request("GET", "/openapi.json").json()
    post = document["paths"][path.replace(NAME, "{endpoint}")]["post"]
    spec = post["requestBody"]["content"]["application/json"]["schema"]

    found = list(wrong(spec, document, json.loads(VALID[path])))
    answers = [plane.request("POST", path, json.dumps(odd).encode(), JSON) for odd in found]

    assert len(found) > 1
    accepted = zip(found, answers, strict=True)
    assert [odd for odd, answer in accepted if answer.status != 400] == []
