"""The common pattern: joblib at import, then JSON to a DataFrame, predict_proba, and JSON."""

import json
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

TEXT = ["carrier", "origin", "dest"]
NUMBERS = [
    "weekday", "hour", "distance",
    "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib",
]  # fmt: skip

model = joblib.load(Path(__file__).with_name("model.joblib"))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's
    """Answer one request."""
    rows = json.loads(event["body"])["instances"]
    frame = pd.DataFrame(rows, columns=[*TEXT, *NUMBERS])
    frame[NUMBERS] = frame[NUMBERS].astype("float32")  # as in training, and None becomes NaN
    scores = model.predict_proba(frame)[:, 1].tolist()
    predictions = [{"label": score >= 0.5, "score": score} for score in scores]
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"predictions": predictions}),
    }
