"""`evergreen import` judges a fitted pipeline on this machine, in the project's folder."""

from pathlib import Path

import joblib
import pytest

from cli import main
from evergreen.contract import endpoint_files
from local.plane import stack, training_rows

NAME = "weather-tomorrow"


def test_outside_of_a_project_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main.run(["import", "model.joblib", "--endpoint", NAME]) == 1
    assert "folder of your project" in capsys.readouterr().err


@pytest.mark.slow
def test_a_pipeline_that_was_fitted_elsewhere_goes_through_the_gates(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = training_rows.read(NAME, stack.training_file(NAME, None, tmp_path))
    pipeline = endpoint_files.load(NAME).candidates(0)["logistic-regression"]
    known = rows.frame[:1_270]
    pipeline.fit(known.astype(dict.fromkeys(known.columns[1:], "float32")), rows.labels[:1_270])
    joblib.dump(pipeline, tmp_path / "model.joblib")

    assert main.run(["import", str(tmp_path / "model.joblib"), "--endpoint", NAME]) == 0
    assert "Model Promoted" in capfd.readouterr().out
