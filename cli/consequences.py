"""What a decision will do, in words, for who is asked once more before it is made."""

from typing import Any


def of(action: str, document: Any, version: str | None = None) -> str:
    """Return what an action does to an endpoint as its document stands."""
    champion = document["champion"]
    match action:
        case "approve" | "promote":
            return f"{action} {version}: it becomes champion, {champion} retires" + _also(
                document, version
            )
        case "reject":
            return f"reject {version}: it is not tried again"
        case "rollback":
            to = version or document.get("previous") or "the previous champion"
            return f"roll back to {to}: {champion} is rejected and not tried again" + _also(
                document, to
            )
        case "pause":
            return (
                "pause: no training starts by itself and the rollout stands still; "
                "predictions go on"
            )
        case "resume":
            return "resume: triggers and rollout go on"
        case "experiments":
            return f"start an experiment with {version}: each arm gets its share of the requests"
        case "experiments/stop":
            return "stop the experiment with its present verdict"
        case "retrain":
            return "ask for a training: its model becomes a candidate if the gates let it"
    return "upload a training file: a training follows by itself"


def _also(document: Any, champion: str | None) -> str:
    """Say what else ends when a version becomes champion."""
    experiment, challenger = document.get("experiment"), document.get("challenger")
    ends = f"; experiment {experiment['id']} ends, inconclusive" if experiment else ""
    if challenger and challenger["version"] != champion:
        ends += f"; {challenger['version']} is rejected for good"
    return ends
