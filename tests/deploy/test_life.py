"""A stack that `sam deploy` brought to an emulator of others does its work, with its own roles."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local.template import ROOT
from tests.deploy.deployment import Stack, eventually
from tests.support.given import NAME

ROWS = json.loads((ROOT / "events" / "bodies" / f"{NAME}.json").read_text())["instances"]


def invoke(stack: Stack, function: str, event: dict[str, str]) -> Any:
    answer = stack.emulator.client("lambda").invoke(
        FunctionName=stack.resources[function], Payload=json.dumps(event).encode()
    )
    said = answer["Payload"].read()
    assert "FunctionError" not in answer, said
    return json.loads(said)


def test_an_upload_is_trained_in_its_container_and_answers_requests_that_are_signed(
    stack: Stack,
) -> None:
    done = stack.run("python", "-m", "local.smoke", "--endpoint", NAME, "--url",
                     stack.outputs["ApiUrl"])  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused unsigned" in done.stdout
    assert "8 of 8 checks hold." in done.stdout


def test_predictions_and_outcomes_arrive_through_the_streams(stack: Stack) -> None:
    client = stack.api()
    status, answered = client.send("POST", f"/endpoints/{NAME}/predict", rows())
    ids = [one["id"] for one in json.loads(answered)["predictions"]]
    labels = [{"id": one, "label": True} for one in ids]

    heard, _ = client.send(
        "POST", f"/endpoints/{NAME}/feedback", json.dumps({"labels": labels}).encode()
    )

    assert (status, heard) == (200, 202)
    assert eventually(lambda: stack.keys("DataBucket", "captures/"))
    assert eventually(lambda: stack.keys("DataBucket", "labels/"))


def test_what_is_done_by_the_clock_may_do_it(stack: Stack) -> None:
    slot = datetime.now(UTC).isoformat(timespec="seconds")

    compacted = invoke(stack, "CompactFunction", {"hour": slot})
    checked = invoke(stack, "CheckFunction", {"endpoint": NAME, "slot": slot})
    ticked = invoke(stack, "RolloutFunction", {"endpoint": NAME, "slot": slot})

    assert list(compacted) == ["compacted"]
    assert checked == {"checked": {NAME: "insufficient data"}}
    assert ticked == {"decided": {NAME: None}}


def test_what_is_asked_on_the_bus_reaches_its_function_through_its_queue(stack: Stack) -> None:
    runs = f"runs/{NAME}/"
    before = set(stack.keys("ArtifactBucket", runs))

    done = stack.run("evergreen", "retrain", NAME)

    assert done.returncode == 0, done.stdout + done.stderr
    assert eventually(lambda: set(stack.keys("ArtifactBucket", runs)) - before)


def test_a_file_is_scored_by_the_state_machine(stack: Stack) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    stack.emulator.client("s3").put_object(
        Bucket=stack.outputs["DataBucket"], Key=f"batch/in/{NAME}/rows.jsonl", Body=lines.encode()
    )

    assert eventually(lambda: "complete" in summaries(stack))


def summaries(stack: Stack) -> list[str]:
    """Return what has become of the files that were scored."""
    s3 = stack.emulator.client("s3")
    found = [
        s3.get_object(Bucket=stack.outputs["DataBucket"], Key=key)["Body"].read()
        for key in stack.keys("DataBucket", "batch/out/")
        if key.endswith("summary.json")
    ]
    return [json.loads(each)["status"] for each in found]


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_no_function_of_requests_can_write_what_serves(stack: Stack, function: str) -> None:
    iam = stack.emulator.client("iam")
    role = stack.resources[f"{function}Role"]
    bucket = f"arn:aws:s3:::{stack.outputs['ArtifactBucket']}"

    (decided,) = iam.simulate_principal_policy(
        PolicySourceArn=iam.get_role(RoleName=role)["Role"]["Arn"],
        ActionNames=["s3:PutObject"], ResourceArns=[f"{bucket}/endpoints/{NAME}.json"],
    )["EvaluationResults"]  # fmt: skip

    assert decided["EvalDecision"] == "implicitDeny"


def rows() -> bytes:
    return json.dumps({"instances": ROWS}).encode()


def test_the_doctor_asks_an_account_what_a_deployment_needs(stack: Stack) -> None:
    done = stack.run("python", "-m", "local.gates.doctor", "--stack", stack.name)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok       arn:aws:iam::000000000000:" in done.stdout
    assert "executions at the same time" in done.stdout
