"""What is deployed is what uv.lock says."""

import re
import subprocess
import tomllib

import pytest

from local.template import ROOT

UV = ROOT / ".uv" / "bin" / "uv"


REQUIREMENTS = {
    "onnx": ROOT / "layers" / "serving" / "onnx.txt",
    "sklearn": ROOT / "layers" / "serving" / "sklearn.txt",
    "training": ROOT / "layers" / "training" / "requirements.txt",
}
LISTS = REQUIREMENTS | {tool: ROOT / "local" / f"{tool}.txt" for tool in ("uv", "checkov")}
MINISTACK = ROOT / "tests" / "deploy" / "ministack.txt"
if MINISTACK.parent.exists():  # in no copy
    LISTS["ministack"] = MINISTACK
HASH = re.compile(r"sha256:[0-9a-f]{64}")


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


def test_every_locked_package_has_a_hash_for_each_of_its_files() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    files = {
        package["name"]: [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        for package in packages
        if "registry" in package["source"]
    }

    assert [package["name"] for package in packages if package["name"] not in files] == [
        "evergreen"
    ]
    assert all(files.values())
    assert not [
        file for found in files.values() for file in found if not HASH.match(file.get("hash", ""))
    ]


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_of_what_is_installed_has_a_hash(name: str) -> None:
    found = re.split(r"\n(?=\S)", LISTS[name].read_text().strip())

    assert found
    for requirement in found:
        assert re.match(r"[\w.-]+==[\w.]+ ", requirement)
        hashes = re.findall(r"--hash=(\S+)", requirement)
        assert hashes
        assert all(map(HASH.fullmatch, hashes)), requirement


@pytest.mark.parametrize(
    "file", ["Makefile", "layers/serving/Makefile", "layers/training/Dockerfile"]
)
def test_whatever_is_installed_is_compared_with_its_hash(file: str) -> None:
    text = (ROOT / file).read_text().replace("\\\n", " ")

    installs = re.findall(r"^.*\bpip install\b.*$", text, re.MULTILINE)

    assert installs
    assert not [line for line in installs if "--require-hashes" not in line]
    assert not re.search(r"\buv (add|tool|x|run)\b", text)  # these take what they find


@pytest.mark.parametrize("tool", ["uv", "checkov"])
def test_a_tool_that_is_installed_apart_is_locked_as_it_is_asked_for(tool: str) -> None:
    asked = re.match(r"([\w-]+)(==|>=)([\d.]+)", (ROOT / "local" / f"{tool}.in").read_text())
    locked = dict(line.split("==") for line in pinned(LISTS[tool].read_text()))

    assert asked
    versions = [tuple(map(int, found.split("."))) for found in (asked[3], locked[tool])]
    assert versions[0] == versions[1] if asked[2] == "==" else versions[0] <= versions[1]


def pinned(requirements: str) -> set[str]:
    return {line.split()[0] for line in requirements.splitlines() if "==" in line}
