"""The clients of docs/clients.md, unmodified, in an installation of their own."""

import re
import subprocess
from pathlib import Path

import pytest

from evergreen.registry.manifest import Manifest
from local.template import ROOT

PYTHON = ROOT / ".clients" / "bin" / "python"
PAGE = (ROOT / "docs" / "clients.md").read_text()
SCRIPTS = re.findall(r"(?ms)^## ([^\n]*)\n(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE)


@pytest.mark.parametrize(("title", "script"), SCRIPTS, ids=[title for title, _ in SCRIPTS])
def test_a_script_of_the_page_runs_as_it_stands(
    url: str, champion: Manifest, tmp_path: Path, title: str, script: str
) -> None:
    if "evergreen_client" in script:
        made = tmp_path / "evergreen_client"
        where = ["--url", f"{url}/openapi.json", "--meta", "none", "--output-path", str(made)]
        tool = str(PYTHON.with_name("openapi-python-client"))
        subprocess.run([tool, "generate", *where], check=True, capture_output=True, timeout=120)
        assert len([*made.rglob("*.py")]) < 120
    file = tmp_path / "script.py"
    file.write_text(script.replace("127.0.0.1:8000", url.removeprefix("http://")))

    done = subprocess.run([PYTHON, file], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert re.search(r"0\.\d+", done.stdout)
