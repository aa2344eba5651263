"""A version's model card as Hugging Face has it: YAML for machines, and words for people.

Source: https://huggingface.co/docs/hub/model-cards
"""

import msgspec

from evergreen.registry.manifest import Manifest

_CARD = """---
{front}---

# {name}

It predicts `{of.target}` ({of.problem.kind}) by {of.candidate}, and was trained on \
{lineage.data_rows:,} rows from
{lineage.data_start:%Y-%m-%d} to {lineage.data_end:%Y-%m-%d}. On the {figures.rows:,} newest \
rows, which nobody fitted, its {metric}
is {figures.loss:.4g}; that of a constant is {figures.baseline:.4g}. Its page is {about}.
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
    yaml = "".join(f"{key}: {value}\n" for key, value in encoded.items())
    parts = {"lineage": lineage, "figures": figures, "metric": metric, "about": about}
    return _CARD.format(front=yaml, name=name, of=manifest, **parts)
