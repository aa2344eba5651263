"""What pytest reads first; the fixtures are in fixtures.py."""

import os
from collections.abc import Generator

import pytest

SLOW_SECONDS = 4.0  # of the processor: a busy machine takes twice as long as a quiet one


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long; make test-fast leaves it out")
    # DuckDB 2.0 makes its DataFrames with a call that pandas 3.1 has deprecated.
    config.addinivalue_line("filterwarnings", "ignore:The inplace keyword in DataFrame.drop")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # fits are small, and each core has a worker
    if config.getoption("dist", "no") == "no":  # else only the workers run tests
        config.pluginmanager.import_plugin("tests.fixtures")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Keep slow tests out of make test-fast."""
    began = sum(os.times()[:4])
    yield
    seconds = sum(os.times()[:4]) - began
    if item.config.option.markexpr == "not slow" and seconds > SLOW_SECONDS:
        pytest.fail(f"it took {seconds:.1f} s of the processor: mark it slow", pytrace=False)
