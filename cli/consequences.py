"""What a decision will do, in words, for who is asked once more before it is made."""

from typing import Any


def of(action: str, document: Any, version: str | None = None) -> str:
    """Return what an action does to an endpoint as its document stands."""
    champion, also = document["champion"], ""
    to = version or document.get("previous") or "the previous champion"
    if action in ("approve", "promote", "rollback"):
        also = _also(document, to)
    becomes = f"{action} {version}: it becomes champion, {champion} retires"
    begin = f"start an experiment with {version}"
    still = "no training starts by itself and the rollout stands still; predictions go on"
    return {
        "approve": becomes,
        "promote": becomes,
        "reject": f"reject {version}: it is not tried again",
        "rollback": f"roll back to {to}: {champion} is rejected and not tried again",
        "pause": f"pause: {still}",
        "resume": "resume: triggers and rollout go on",
        "experiments": f"{begin}: each arm gets its share of the requests",
        "experiments/stop": "stop the experiment with its present verdict",
        "retrain": "ask for a training: its model becomes a candidate if the gates let it",
        "upload": "upload a training file: a training follows by itself",
    }[action] + also


def _also(document: Any, champion: str | None) -> str:
    """Say what else ends when a version becomes champion."""
    experiment, challenger = document.get("experiment"), document.get("challenger")
    ends = f"; experiment {experiment['id']} ends, inconclusive" if experiment else ""
    if challenger and challenger["version"] != champion:
        ends += f"; {challenger['version']} is rejected for good"
    return ends
