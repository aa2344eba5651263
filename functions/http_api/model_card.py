"""A version's model card as Hugging Face has it: YAML for machines, and words for people.

Source: https://huggingface.co/docs/hub/model-cards
"""

import msgspec

from evergreen.registry.manifest import Manifest

_CARD = """---
{front}---

# {name}

It predicts `{target}` ({kind}) by {candidate}, and was trained on {rows:,} rows from
{start:%Y-%m-%d} to {end:%Y-%m-%d}. On the {newest:,} newest rows, which nobody fitted, its {metric}
is {loss:.4g}; that of a constant is {baseline:.4g}. Its page is {about}.
"""


def card(manifest: Manifest, about: str) -> str:
    """Return the card; about: where the page of the version is. Values are JSON, which YAML has."""
    figures, lineage, problem = manifest.metrics, manifest.lineage, manifest.problem
    name, metric = f"{manifest.endpoint} {manifest.version}", problem.metric
    task = f"tabular-{'regression' if problem.kind == 'regression' else 'classification'}"
    kind = metric.replace(" ", "_").replace("-", "_")
    measured = {metric: figures.loss, f"{metric} of a constant": figures.baseline}
    result = {
        "task": {"type": task},
        "dataset": {"name": "newest rows", "type": "tabular", "revision": lineage.data_sha256},
        "metrics": [{"type": kind, "name": each, "value": loss} for each, loss in measured.items()],
    }
    front = {
        "library_name": "sklearn" if manifest.kind == "model" else manifest.kind,
        "pipeline_tag": task,
        "tags": ["evergreen", manifest.endpoint, manifest.candidate, problem.kind],
        "model-index": [{"name": name, "results": [result]}],
    }
    encoded = {key: msgspec.json.encode(value).decode() for key, value in front.items()}
    return _CARD.format(
        front="".join(f"{key}: {value}\n" for key, value in encoded.items()),
        name=name,
        target=manifest.target,
        kind=problem.kind,
        candidate=manifest.candidate,
        rows=lineage.data_rows,
        start=lineage.data_start,
        end=lineage.data_end,
        newest=figures.rows,
        metric=metric,
        loss=figures.loss,
        baseline=figures.baseline,
        about=about,
    )
