"""What pytest reads first; the fixtures are in fixtures.py."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # DuckDB 2.0 makes its DataFrames with a call that pandas 3.1 has deprecated.
    config.addinivalue_line("filterwarnings", "ignore:The inplace keyword in DataFrame.drop")
    if config.getoption("dist", "no") == "no":  # else only the workers run tests
        config.pluginmanager.import_plugin("tests.fixtures")
