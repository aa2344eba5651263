"""The digest of what SAM does not see: it changes with the layers and the parameters, no sooner."""

from pathlib import Path

import pytest

from local import published
from local.template import ROOT, translate


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("layers/serving/onnx.txt", "samconfig.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(published, "ROOT", tmp_path)
    monkeypatch.setattr(published, "BUILT", tmp_path / "built.yaml")
    return tmp_path


def test_the_template_has_the_placeholder_where_a_version_of_each_function_depends_on_it() -> None:
    resources = translate()["Resources"]

    for name in ("PredictFunction", "FeedbackFunction"):
        said = resources[name]["Properties"]["Environment"]["Variables"]
        assert said["PUBLISHED_SHA256"] == published.PLACEHOLDER
    assert published.PLACEHOLDER in (ROOT / "Makefile").read_text()  # which refuses to deploy it


@pytest.mark.parametrize("changed", ["layers/serving/onnx.txt", "samconfig.toml"])
def test_the_digest_is_another_when_a_layer_or_a_parameter_changes(
    project: Path, changed: str
) -> None:
    before = published.digest()
    assert published.digest() == before

    (project / changed).write_text("another")

    assert published.digest() != before


def test_the_digest_is_written_into_the_built_template_and_nothing_else_changes(
    project: Path,
) -> None:
    published.BUILT.write_text(f"a: b\nPUBLISHED_SHA256: {published.PLACEHOLDER}\nc: d\n")

    published.main()

    assert published.BUILT.read_text() == f"a: b\nPUBLISHED_SHA256: {published.digest()}\nc: d\n"


@pytest.mark.parametrize("text", ["a: b\n", f"{published.PLACEHOLDER} {published.PLACEHOLDER}"])
def test_a_built_template_without_its_place_is_refused_and_not_changed(
    project: Path, text: str
) -> None:
    published.BUILT.write_text(text)

    with pytest.raises(SystemExit, match="PUBLISHED_SHA256"):
        published.main()

    assert published.BUILT.read_text() == text
