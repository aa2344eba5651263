"""The pages of checks and of the demo as Chromium shows them; screenshots are in build/pages/."""

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from evergreen.pages.check_report import page as check_page
from local.demo.report import page
from local.demo.stages import stories
from tests.support import checks, replays

BUILD = Path(__file__).parent.parent.parent / "build" / "pages"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SCREENS = {  # the options of each, and the colour of its paper
    "light": (["--window-size=1100,5000"], (255, 255, 255)),
    "dark": (["--window-size=1100,5000", "--force-dark-mode"], (20, 23, 26)),
    "phone": (["--window-size=360,7500"], (255, 255, 255)),
}
# A window is never as narrow as a phone, a frame is; the page itself has no script to ask.
FRAME = """<!doctype html><title>not measured</title>
<script>onmessage = message => document.title = message.data</script>
<iframe src="probe.html" style="width: 360px; height: 640px; border: 0"></iframe>"""
PROBE = """<script>const root = document.documentElement
parent.postMessage(`${root.scrollWidth} of ${root.clientWidth}`, "*")</script>"""


def demo() -> str:
    """Return the report of a demo that found drift, and rolled something back."""
    results = replays.both(more=(replays.drifted(3),), reports=replays.CHECKS)
    return page.page(replays.merged(results), results, stories(replays.STORY))


PAGES: dict[str, Callable[[], str]] = {
    **{
        name: partial(lambda state: check_page(state()), state)
        for name, state in checks.STATES.items()
    },
    "demo": demo,
}

VIEWS = [  # the colours and the widths of all pages of a kind are the same
    *((name, "light") for name in PAGES),
    *((name, screen) for name in ("drifted", "demo") for screen in ("dark", "phone")),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs Chromium: no `chromium` or `google-chrome` on the PATH"
    ),
]


@pytest.fixture(params=list(PAGES))
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the file of a page in one of the states."""
    name = request.param
    file = tmp_path / f"{name.replace(' ', '-')}.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    return file


Browse = Callable[..., str]


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Browse:
    """Return what opens a file, with a profile that is made once, and returns what it prints."""
    profile = tmp_path_factory.mktemp("profile")

    def run(file: Path, *options: str) -> str:
        assert CHROMIUM
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", f"--user-data-dir={profile}",
            "--enable-logging=stderr", *options, file.as_uri(),
        ]  # fmt: skip
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "CONSOLE" not in found.stderr, found.stderr
        return found.stdout

    return run


def test_its_sections_and_figures_are_there_and_the_console_is_quiet(
    state: Path, browse: Browse
) -> None:
    dom = browse(state, "--dump-dom")

    assert re.findall(r"<h2>(.*?)</h2>", dom) == (
        replays.SECTIONS if state.stem == "demo" else checks.SECTIONS
    )
    assert len(re.findall(r"<h1>[^<]+</h1>", dom)) == 1
    drawn = re.findall(r"<svg[^>]*>", dom)
    titles = re.findall(r'<svg[^>]* aria-label="([^"]+)"', dom)
    assert len(titles) == len(set(titles)) == len(drawn), "every figure says what it shows"


def test_an_error_on_the_console_would_be_seen(tmp_path: Path, browse: Browse) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!doctype html><title>broken</title><script>console.error('no')</script>")

    with pytest.raises(AssertionError, match="CONSOLE"):
        browse(file, "--dump-dom")


@pytest.mark.parametrize(("state", "screen"), VIEWS, indirect=["state"])
def test_it_is_drawn_on_every_screen_as_dark_as_the_reader_wants(
    state: Path, browse: Browse, screen: str
) -> None:
    options, paper = SCREENS[screen]
    BUILD.mkdir(parents=True, exist_ok=True)
    shot = BUILD / f"{state.stem}-{screen}.png"

    browse(state, *options, f"--screenshot={shot}")

    with Image.open(shot) as picture:
        assert f"--window-size={picture.width},{picture.height}" in options
        assert picture.convert("RGB").getpixel((1, 1)) == paper
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20


def test_on_a_phone_nothing_is_wider_than_the_screen(state: Path, browse: Browse) -> None:
    probe, frame = state.with_name("probe.html"), state.with_name("frame.html")
    probe.write_text(state.read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    frame.write_text(FRAME, encoding="utf-8")

    dom = browse(frame, "--virtual-time-budget=5000", "--dump-dom")

    assert "<title>360 of 360</title>" in dom
