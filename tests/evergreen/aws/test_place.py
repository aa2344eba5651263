"""AWS is told apart from somebody's own machine."""

import pytest

from evergreen.aws import place

RUNTIME = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [(RUNTIME, True), ({}, False), (RUNTIME | {"AWS_SAM_LOCAL": "true"}, False)],
)
def test_only_lambda_s_own_runtime_is_of_an_account(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_LAMBDA_RUNTIME_API", "AWS_SAM_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert place.in_an_account() is expected
