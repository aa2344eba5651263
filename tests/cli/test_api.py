"""Which API is asked, and that requests are signed; how a URL is read stands in test_smoke."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace as Fake
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from cli import api, main
from cli.api import AddressError, address, api_of, data_bucket
from local.cloud.resources import CREDENTIALS
from tests.support.given import NOW

URL = "https://abc123.execute-api.us-west-2.amazonaws.com"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing but the environment name credentials and a region."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("EVERGREEN_URL", raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    api.stack.cache_clear()


def stacks(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str] | None, **more: Any
) -> list[str]:
    """Play CloudFormation with one stack, or none; return the names that were asked for."""
    asked: list[str] = []

    def describe_stacks(*, StackName: str) -> Any:  # noqa: N803 - its name
        asked.append(StackName)
        if outputs is None:
            error: Any = {"Error": {"Code": "ValidationError", "Message": "does not exist"}}
            raise ClientError(error, "DescribeStacks")
        found = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return {"Stacks": [{"Outputs": found}]}

    client = Fake(describe_stacks=describe_stacks, **more)
    monkeypatch.setattr(Session, "create_client", lambda *_, **__: client)
    return asked


def sent(monkeypatch: pytest.MonkeyPatch, url: str) -> Any:
    """Return the request that asks for an endpoint with an odd name."""
    requests = []

    def send(request: Any) -> Any:
        requests.append(request)
        return Fake(status_code=200, content=b"{}")

    http: Any = Fake(send=send)
    asked = dataclasses.replace(api_of(url), http=http)
    asked.post("control", "endpoints", "a/../b?c", "pause", generation=1)
    return requests[0]


def test_a_url_that_is_named_comes_before_the_variable_and_that_before_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = stacks(monkeypatch, {"ApiUrl": "https://of.stack"})

    assert address(None, "prod") == "https://of.stack"
    monkeypatch.setenv("EVERGREEN_URL", "https://of.variable")
    assert address(None, "prod") == "https://of.variable"
    assert address("https://named", "prod") == "https://named"

    assert asked == ["evergreen-prod"]


@pytest.mark.parametrize(
    ("outputs", "environment", "said"),
    [
        (None, "default", "does not exist"),
        ({}, "default", "no output ApiUrl"),
        ({"ApiUrl": "x"}, "nowhere", "names no stack for 'nowhere'"),
    ],
)
def test_a_stack_that_has_no_api_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, outputs: Any, environment: str, said: str
) -> None:
    stacks(monkeypatch, outputs)

    with pytest.raises(AddressError, match=said) as error:
        address(None, environment)

    assert "--url" in str(error.value)


def test_a_request_to_aws_is_signed_and_one_to_this_machine_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = sent(monkeypatch, URL)
    plain = sent(monkeypatch, "http://127.0.0.1:8000")

    assert "/us-west-2/execute-api/aws4_request" in signed.headers["Authorization"]
    assert "Authorization" not in plain.headers


def test_a_name_cannot_lead_to_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    request = sent(monkeypatch, URL)

    assert request.url == f"{URL}/control/endpoints/a%2F..%2Fb%3Fc/pause"
    assert request.body == b'{"generation": 1}'


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Play the S3 of a stack, with one training file; return what was asked of it."""
    asked: dict[str, Any] = {}
    head = {"ResponseMetadata": {"HTTPHeaders": {"date": "Fri, 01 Feb 2013 12:00:00 GMT"}}}
    page = {"Contents": [{"Key": "training/a/b.csv", "Size": 1_234, "LastModified": NOW}]}

    def called(operation: str, answer: Any) -> Any:
        return lambda **given: asked.update({operation: given}) or answer

    pages = Fake(paginate=called("list", Fake(build_full_result=lambda: page)))
    client = Fake(
        put_object=called("put", head),
        delete_object=called("delete", {}),
        get_paginator=lambda _: pages,
    )
    asked["describe"] = stacks(
        monkeypatch, {"ApiUrl": f"{URL}/", "DataBucket": "of-data"}, **vars(client)
    )
    return asked


def test_an_upload_goes_to_the_data_bucket_of_the_stack_which_is_asked_for_once(
    s3: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "b.csv").write_bytes(b"rows")

    assert main.run(["upload", "a", str(tmp_path / "b.csv")]) == 0

    assert s3["put"] == {"Bucket": "of-data", "Key": "training/a/b.csv", "Body": b"rows"}
    assert s3["describe"] == ["evergreen"]


@pytest.mark.parametrize("name", ["b.csv", "training/a/b.csv"])
def test_training_files_of_a_stack_are_listed_and_taken_back(
    s3: dict[str, Any], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main.run(["files", "a"]) == 0
    assert "delete" not in s3
    assert main.run(["files", "a", "--remove", name]) == 0

    assert s3["list"] == {"Bucket": "of-data", "Prefix": "training/a/"}
    assert s3["delete"] == {"Bucket": "of-data", "Key": "training/a/b.csv"}
    assert "2013-02-01 12:00        1,234 training/a/b.csv" in capsys.readouterr().out


def test_the_bucket_of_another_stack_is_not_touched(s3: dict[str, Any]) -> None:
    with pytest.raises(AddressError, match="--config-env"):
        data_bucket(api_of(URL.replace("abc", "def")), "default")


def test_what_s3_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: str) -> Any:
        error: Any = {"Error": {"Code": "AccessDenied", "Message": "not allowed"}}
        raise ClientError(error, "ListObjectsV2")

    outputs = {"ApiUrl": URL, "DataBucket": "of-data"}
    stacks(monkeypatch, outputs, get_paginator=refuse)

    assert main.run(["files", "a"]) == 3
    assert "not allowed" in capsys.readouterr().err


def test_only_the_clock_of_this_machine_can_be_moved() -> None:
    api_of("http://127.0.0.1:8000").require_local("a clock")

    with pytest.raises(AddressError, match="make serve"):
        api_of(URL).require_local("a clock")


def test_the_table_of_environments_is_the_one_that_sam_reads() -> None:
    assert api.SAMCONFIG.is_file()
