"""docs/report.schema.json is what the code writes."""

import json

from evergreen.monitoring.report import schema
from local.template import ROOT


def test_the_documented_schema_of_a_report_is_that_of_the_code() -> None:
    documented = json.loads((ROOT / "docs" / "report.schema.json").read_text())

    assert documented == schema(), "run `make schemas`"
