"""make size counts what Lambda unpacks, and fails above the budget."""

import sys
from pathlib import Path

import pytest

from local import size


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for a build with an image-less template."""
    for name, count in (("PredictFunction", 10), ("OnnxLayer", 1_000), ("SklearnLayer", 2_000)):
        (tmp_path / name / "python").mkdir(parents=True)
        (tmp_path / name / "python" / "file").write_bytes(b"x" * count)
    (tmp_path / "template.yaml").write_text("Resources: {Bucket: {Properties: {}}}")
    monkeypatch.setattr(size, "BUILT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["size"])
    return tmp_path


def test_a_package_is_the_code_with_a_layer(built: Path) -> None:
    assert [package.size for package in size.zips(built)] == [1_010, 2_010]


def test_a_link_counts_as_itself(built: Path) -> None:
    (built / "OnnxLayer" / "link").symlink_to(built / "SklearnLayer" / "python" / "file")

    assert next(size.zips(built)).size < 1_010 + 2_000


def test_within_its_budget_a_build_passes(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size.main()

    assert "predict + OnnxLayer" in capsys.readouterr().out


def test_above_its_budget_a_build_fails_and_says_which(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(size.BUDGETS, "OnnxLayer", 1_009)

    with pytest.raises(SystemExit, match=r"above the budget: predict \+ OnnxLayer$"):
        size.main()


def test_without_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="PredictFunction is not built: run `make build`"):
        list(size.zips(tmp_path))


def test_budgets_are_within_the_limits_of_lambda() -> None:
    assert max(size.BUDGETS.values()) < size.UNZIPPED_LIMIT
