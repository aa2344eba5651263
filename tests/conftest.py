"""What pytest reads first; the fixtures are in fixtures.py."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The tests of the machinery ask the sample endpoint. A copy has neither.
SAMPLE = HERE.parent / "functions" / "endpoints" / "flight_delay.py"
WITH_SAMPLE = SAMPLE.exists() and (HERE / "fixtures.py").exists()
WITHOUT = ("contract", "copy", "project/deployment/test_lock.py")

SLOW_SECONDS = 4.0  # of the processor: a busy machine takes twice as long as a quiet one


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long; make test-fast leaves it out")
    # DuckDB 2.0 makes its DataFrames with a call that pandas 3.1 has deprecated.
    config.addinivalue_line("filterwarnings", "ignore:The inplace keyword in DataFrame.drop")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # fits are small, and each core has a worker
    if WITH_SAMPLE and config.getoption("dist", "no") == "no":  # else only the workers run tests
        config.pluginmanager.import_plugin("tests.fixtures")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what needs the sample endpoint, where it has gone."""
    within = str(collection_path.relative_to(HERE))
    if WITH_SAMPLE or "/" not in within or collection_path.is_dir():
        return None
    return not within.startswith(WITHOUT) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Keep slow tests out of make test-fast."""
    began = sum(os.times()[:4])
    yield
    seconds = sum(os.times()[:4]) - began
    if item.config.option.markexpr == "not slow" and seconds > SLOW_SECONDS:
        pytest.fail(f"it took {seconds:.1f} s of the processor: mark it slow", pytrace=False)
