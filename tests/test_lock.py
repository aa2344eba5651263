"""What is deployed is what uv.lock says."""

import hashlib
import json
import subprocess
import tomllib

import pytest

from local.template import ROOT, translate

UV = ROOT / ".uv" / "bin" / "uv"


REQUIREMENTS = {
    "onnx": ROOT / "layers" / "serving" / "onnx.txt",
    "sklearn": ROOT / "layers" / "serving" / "sklearn.txt",
    "training": ROOT / "layers" / "training" / "requirements.txt",
}


@pytest.mark.parametrize("group", REQUIREMENTS)
def test_the_requirements_of_a_package_are_the_versions_of_the_lock_file(group: str) -> None:
    exported = subprocess.run(
        [UV, "export", "--frozen", "--quiet", "--no-header", "--only-group", group, "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    listed = pinned(REQUIREMENTS[group].read_text())

    assert listed
    assert listed <= pinned(exported), "run `make lock`"
    left_out = {line.partition("==")[0] for line in pinned(exported) - listed}
    assert left_out == ({"flatbuffers", "packaging", "protobuf"} if group == "onnx" else set())


def test_the_template_names_the_digest_of_its_layers_and_parameters() -> None:
    """SAM publishes a version when code or a literal changes, and sees neither of these two."""
    files = sorted(path for path in (ROOT / "layers" / "serving").iterdir() if path.is_file())
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text())
    parameters = {
        name: tables.get("deploy", {}).get("parameters", {}).get("parameter_overrides")
        for name, tables in environments.items()
        if isinstance(tables, dict)
    }
    made_from = b"".join(path.read_bytes() for path in files) + json.dumps(parameters).encode()
    digest = hashlib.sha256(made_from).hexdigest()

    said = translate()["Resources"]["PredictFunction"]["Properties"]["Environment"]["Variables"]

    assert said["PUBLISHED_SHA256"] == digest, f"in template.yaml write PUBLISHED_SHA256: {digest}"


def pinned(requirements: str) -> set[str]:
    return {line.split()[0] for line in requirements.splitlines() if "==" in line}
