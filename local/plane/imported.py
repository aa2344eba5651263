"""A pipeline that somebody else has fitted, as the only candidate of an endpoint.

To load one is to run whatever its file says, so that only a person does it, on their own machine.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import yaml
from sklearn.frozen import FrozenEstimator

from evergreen.contract.endpoint import Endpoint
from evergreen.contract.schema import schema_of

WARNING = (
    "Loading {file} runs whatever code it holds, with your rights: load only what you trust, and "
    "only on this machine."
)


def candidates(name: str, endpoint: Endpoint, file: Path) -> Endpoint:
    """Return an endpoint whose one candidate is the pipeline of a file, which is fitted no more.

    Raises SystemExit that says what is wrong with the file, or why the pipeline cannot read `row`.
    """
    pipeline = loaded(file)
    fields = list(schema_of(name, endpoint.row)["properties"])
    read = list(getattr(pipeline, "feature_names_in_", fields))
    if unknown := [each for each in read if each not in fields]:
        said = f"the pipeline reads {', '.join(unknown)}, which `row` of {name} lacks"
        raise SystemExit(f"{file}: {said}: it has {', '.join(fields)}")
    classes = [str(each) for each in getattr(pipeline, "classes_", ())]
    if endpoint.problem == "binary" and classes not in (["False", "True"], ["0", "1"]):
        said = "the pipeline's classes are not False and True, or 0 and 1, in this order"
        raise SystemExit(f"{file}: {said}: fit it with such labels")
    policy = replace(endpoint.policy, windows_days=(None,), search_seconds=0.0)
    frozen = {file.stem: FrozenEstimator(pipeline)}
    return replace(endpoint, candidates=lambda _: frozen, search={}, policy=policy)


def loaded(file: Path) -> Any:
    """Return the fitted estimator of a file of joblib, pickle or skops, or of an MLflow model."""
    if file.is_dir():
        file = _of_mlflow(file)
    try:
        found = _of_skops(file) if file.suffix == ".skops" else joblib.load(file)
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{file} needs {error.name}: add it to the group `own` of pyproject.toml, make lock"
        ) from error
    except Exception as error:  # it may be anything
        raise SystemExit(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    if not (hasattr(found, "predict") and hasattr(found, "fit")):
        raise SystemExit(f"{file} holds a {type(found).__name__}, and no estimator")
    return found


def _of_mlflow(folder: Path) -> Path:
    """Return the pickle of a folder that mlflow.sklearn.save_model has written."""
    if not (described := folder / "MLmodel").is_file():
        raise SystemExit(f"{folder} holds no MLmodel: name a model's folder, or a file")
    flavors: Mapping[str, Any] = yaml.safe_load(described.read_text()).get("flavors", {})
    if "sklearn" not in flavors:
        known = ", ".join(flavors)
        raise SystemExit(f"{folder} is a model of {known}: only those of sklearn are taken")
    return folder / str(flavors["sklearn"].get("pickled_model", "model.pkl"))


def _of_skops(file: Path) -> Any:
    skops: Any = import_module("skops.io")
    if odd := skops.get_untrusted_types(file=file):
        said = f"{file} holds {', '.join(odd)}, which skops does not trust: if you do"
        raise SystemExit(f"{said}, load it with skops yourself and write it with joblib")
    return skops.load(file)
