"""IAM separates who asks, who decides and who may do nothing, by the policies of the docs."""

import json
import re

import pytest
from botocore.credentials import Credentials

from cli.api import Api
from local.template import REGION, ROOT
from tests.deploy.deployment import Stack
from tests.support.given import NAME

ACCOUNT = "000000000000"
PAGE = ROOT / "docs" / "deploying.md"
PAUSE = json.dumps({"generation": 1, "reason": "to see who may"}).encode()
ROWS = (ROOT / "events" / "bodies" / f"{NAME}.json").read_bytes()
ASKED = {
    "predict": ("POST", f"/endpoints/{NAME}/predict", ROWS),
    "look": ("GET", f"/endpoints/{NAME}", None),
    "look at decisions": ("GET", f"/control/endpoints/{NAME}/decisions", None),
    "pause": ("POST", f"/control/endpoints/{NAME}/pause", PAUSE),
}
MAY = {
    "caller": {"predict", "look"},
    "decider": {"look", "look at decisions", "pause"},
    "nobody": set[str](),
}


def policy(title: str, stack: Stack) -> str:
    """Return the first policy after these words of docs/deploying.md, of this stack's API."""
    written = PAGE.read_text().partition(f"**{title}**")[2]
    found = re.search(r"```json\n(.*?)```", written, re.DOTALL)
    assert found is not None
    api = stack.outputs["ApiUrl"].partition("//")[2].partition(".")[0]
    names = {"REGION": REGION, "ACCOUNT": ACCOUNT, "API_ID": api}
    return re.sub("|".join(names), lambda name: names[name[0]], found[1])


@pytest.fixture(scope="module")
def people(stack: Stack) -> dict[str, Api]:
    """Make a user of each kind, with the policy of the docs, or none."""
    iam = stack.emulator.client("iam")
    policies = {"caller": "Callers", "decider": "People who decide"}
    found = {}
    for who in MAY:
        iam.create_user(UserName=who)
        if who in policies:
            document = policy(policies[who], stack)
            iam.put_user_policy(UserName=who, PolicyName="docs", PolicyDocument=document)
        key = iam.create_access_key(UserName=who)["AccessKey"]
        found[who] = stack.api(Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    return found


@pytest.mark.parametrize("who", MAY)
def test_each_may_ask_what_the_docs_give_them_and_nothing_else(
    people: dict[str, Api], who: str
) -> None:
    answered = {what: people[who].send(*asked)[0] for what, asked in ASKED.items()}

    assert {what for what, status in answered.items() if status != 403} == MAY[who]


def test_a_decision_keeps_who_made_it(stack: Stack, people: dict[str, Api]) -> None:
    path = f"/control/endpoints/{NAME}"
    _, shown = people["decider"].send("GET", f"{path}/status?evidence=no")
    document = json.loads(shown)["document"]
    what = "resume" if document["paused"] else "pause"
    body = {"generation": document["generation"], "reason": "to see who is named"}

    status, answer = people["decider"].send("POST", f"{path}/{what}", json.dumps(body).encode())

    assert status == 200, answer
    _, decided = people["decider"].send("GET", f"{path}/decisions?limit=1")
    (last,) = json.loads(decided)["decisions"]
    assert re.fullmatch(rf"arn:aws:iam::{ACCOUNT}:user/decider \(\w+\)", last["by"])
