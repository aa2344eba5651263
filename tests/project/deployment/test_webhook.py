"""What a webhook gets: each event of the registry, as CloudEvents or in the words of another."""

import json
import re
from typing import Any

import pytest

from evergreen.registry.events import TYPES
from local.template import ROOT, Template, load

COMMANDS = {"Retrain Requested", "Check Requested", "Rollout Requested"}
PAGE = (ROOT / "docs" / "deploying.md").read_text().partition("## Webhook")[2]
BODIES = re.findall(r"(?ms)^```json\n(.*?)^```", PAGE.partition("\n## ")[0])
EVENTS = {
    event["detail-type"]: event
    for file in sorted((ROOT / "events").glob("*.json"))
    if "detail-type" in (event := json.loads(file.read_bytes()))
}


@pytest.fixture(scope="module")
def posting() -> Template:
    return load({"WebhookUrl": "https://hooks.example.org/services/1"})


@pytest.fixture(scope="module")
def rule(posting: Template) -> dict[str, Any]:
    rules = posting.of_type("AWS::Events::Rule").values()
    return next(each for each in rules if each["Targets"][0]["Id"] == "webhook")


def posted(target: dict[str, Any], body: str, event: dict[str, Any]) -> Any:
    """Return what EventBridge posts: a value within quotes stands as it is, another as JSON."""
    paths = target["InputTransformer"]["InputPathsMap"]

    def found(name: str) -> Any:
        value: Any = event
        for part in paths[name].removeprefix("$.").split("."):
            value = value.get(part, "")
        return value

    def within(match: re.Match[str]) -> str:
        return re.sub(r"<(\w+)>", lambda each: str(found(each[1])), match[0])

    text = re.sub(r'"[^"]*"', within, body)
    return json.loads(re.sub(r"<(\w+)>", lambda each: json.dumps(found(each[1])), text))


def test_it_hears_all_that_happens_and_no_command(rule: dict[str, Any]) -> None:
    assert set(rule["EventPattern"]["detail-type"]) == set(TYPES) - COMMANDS
    assert rule["EventPattern"]["source"] == ["evergreen"]


@pytest.mark.parametrize("kind", sorted(set(TYPES) - COMMANDS))
def test_each_event_is_posted_as_a_cloud_event(rule: dict[str, Any], kind: str) -> None:
    (target,), event = rule["Targets"], EVENTS[kind]

    found = posted(target, target["InputTransformer"]["InputTemplate"], event)

    assert found == {
        "specversion": "1.0",
        "id": event["id"],
        "source": "evergreen",
        "type": kind,
        "time": event["time"],
        "subject": event["detail"]["endpoint"],
        "datacontenttype": "application/json",
        "data": event["detail"],
    }


@pytest.mark.parametrize("body", BODIES, ids=["Slack", "PagerDuty"])
@pytest.mark.parametrize("kind", ["Model Promoted", "Drift Detected"])
def test_the_bodies_of_the_page_say_what_happened_to_which_endpoint(
    rule: dict[str, Any], kind: str, body: str
) -> None:
    found = json.dumps(posted(rule["Targets"][0], body, EVENTS[kind]))

    assert kind in found
    assert EVENTS[kind]["detail"]["endpoint"] in found
    assert "<" not in found


def test_the_secret_is_in_the_connection_alone_and_what_fails_is_a_dead_letter(
    posting: Template, rule: dict[str, Any]
) -> None:
    (connection,) = posting.of_type("AWS::Events::Connection").values()

    assert connection["AuthParameters"]["ApiKeyAuthParameters"]["ApiKeyValue"] == "none"
    assert "DeadLetterConfig" in rule["Targets"][0]
    assert not load().of_type("AWS::Events::ApiDestination")
