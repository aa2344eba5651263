"""What a file in endpoints/ imports from evergreen itself, and what that costs those who do not."""

import subprocess
import sys

import pytest

import evergreen
from local.plane.process import CODE


def loaded_after(statement: str) -> set[str]:
    """Return the modules of evergreen in a fresh process after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True
    )
    return {name for name in found.stdout.split() if name.startswith("evergreen.")}


@pytest.mark.parametrize("name", evergreen.__all__)
def test_a_name_that_a_user_imports_is_the_class_of_that_name(name: str) -> None:
    found = getattr(evergreen, name)

    assert (found.__name__, found.__module__.partition(".")[0]) == (name, "evergreen")
    assert name in dir(evergreen)


def test_another_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="Endpiont"):
        exec("from evergreen import Endpiont", {})  # noqa: S102 - as a user would write it


def test_a_name_is_imported_at_its_first_use() -> None:
    assert loaded_after("import evergreen") == set()
    assert "evergreen.contract.rule" in loaded_after("from evergreen import When")


def test_predict_starts_without_what_a_user_imports() -> None:
    modules = {getattr(evergreen, name).__module__ for name in evergreen.__all__}

    assert "evergreen.serving.model_cache" in (loaded := loaded_after("import predict"))
    assert not loaded & modules
