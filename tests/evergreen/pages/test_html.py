"""Pages take nothing for HTML but charts, whoever wrote the text and wherever it stands."""

import dataclasses
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from jinja2 import UndefinedError

from evergreen.captures.examples import Examples
from evergreen.pages import check_report, html, model_card
from evergreen.training.train_version import Trained
from local.demo.report import page
from local.demo.stages import stories
from local.template import ROOT
from tests.support import checks, given, replays
from tests.support.seen import HOSTILE, SHOWN, Seen, poisoned

FOLDERS = ("functions", "local", "cli", "benchmarks")
TEMPLATES = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.jinja")]


def test_a_template_escapes_and_says_what_it_lacks(tmp_path: Path) -> None:
    template = tmp_path / "a.html.jinja"
    template.write_text("<p>{{ text }}</p>{% if more %}{{ more }}{% endif %}")

    assert html.render(template, text="<\x00&", more="") == "<p>&lt; &amp;</p>\n"
    with pytest.raises(UndefinedError, match="'more' is undefined"):
        html.render(template, text="a text")


def test_nothing_is_taken_for_html() -> None:
    trusting = re.compile(r"\bMarkup\(|\|\s*safe\b|\bautoescape\b|__html__")

    found = {
        (file.name, what)
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".jinja"}
        for what in trusting.findall(file.read_text())
    }

    assert found == {
        ("html.py", "autoescape"),  # which is on
        ("html.py", "__html__"),  # of what is HTML already
        ("views.py", "Markup("),  # two constants, and a view whose template has escaped it
    }


def test_what_a_template_writes_into_an_attribute_stands_in_quotes() -> None:
    assert TEMPLATES
    assert [
        file.name for file in TEMPLATES if re.search(r"<[^>]*\s[\w-]+=\s*\{\{", file.read_text())
    ] == []


def check_harmless(clean: str, hostile: str, times: int) -> None:
    """Check that what is hostile is there, and is nothing but text."""
    seen, usual = Seen(hostile), Seen(clean)

    assert seen.tags <= usual.tags
    assert seen.attributes <= usual.attributes
    assert seen.open == []
    assert seen.text.count(SHOWN) >= times
    assert not [sign for sign in seen.text if not sign.isprintable() and sign != "\n"]


def test_a_check_shows_hostile_text_as_text() -> None:
    clean = checks.drifted()

    hostile = poisoned(clean)

    assert hostile.alarms[0].about[0].endswith(HOSTILE)
    check_harmless(check_report.page(clean), check_report.page(hostile), 60)


def test_a_card_shows_hostile_text_as_text(trained: Trained) -> None:
    endpoint, best, manifest = given.quick(), trained.best, trained.manifest
    refused = msgspec.structs.replace(manifest.metrics.gates[0], passed=False)
    metrics = msgspec.structs.replace(
        manifest.metrics, gates=[refused], failed={"a pipeline": "a reason"}
    )
    manifest = msgspec.structs.replace(manifest, metrics=metrics)
    origins = np.char.add(best.holdout.columns["origin"].astype(str), HOSTILE)
    columns = best.holdout.columns | {"origin": origins.astype(object)}
    holdout = Examples(columns, best.holdout.labels, best.holdout.times)
    hostile = (
        poisoned(manifest),
        dataclasses.replace(best, holdout=holdout),
        endpoint,
        [dataclasses.replace(one, value=one.value + HOSTILE) for one in trained.slices],
    )

    clean = model_card.page(manifest, best, endpoint, trained.slices)
    check_harmless(clean, model_card.page(*hostile), 60)


def test_the_report_of_a_demo_shows_hostile_text_as_text() -> None:
    told = {"reason": HOSTILE, "trigger": HOSTILE, "version": HOSTILE, "previous": HOSTILE,
            "candidate": HOSTILE, "metric": HOSTILE, "loss": 0.5, "stage": HOSTILE, "share": 0.1,
            "features": [HOSTILE], "since": "2013-02-03"}  # fmt: skip
    known = (
        "Retrain Requested", "Model Trained", "Model Promoted", "Model Rolled Back",
        "Challenger Started", "Training Skipped", "Candidate Rejected", "Drift Detected",
        "Performance Degraded", "Schema Violated",
    )  # fmt: skip
    kinds = [*known, HOSTILE]
    events = [replays.event(3 + n, kind, **told) for n, kind in enumerate(kinds)]
    results = replays.both(more=(*events,), reports=replays.CHECKS)
    kept = ("events", "requests", "captures", "labels")

    hostile = {level: poisoned(result, *kept) for level, result in results.items()}

    shown, hostile_one = (
        page.page(replays.merged(each), each, stories(each[4].decisions))
        for each in (replays.both(more=(replays.drifted(3),), reports=replays.CHECKS), hostile)
    )
    check_harmless(shown, hostile_one, len(kinds))
