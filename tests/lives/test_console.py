"""The whole way of a person through the console, in Chromium; pictures are in build/console/."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from evergreen.aws.s3 import Store
from evergreen.monitoring.earlier_checks import key_of
from evergreen.registry.manifest import Manifest
from local import serve
from local.demo.by_hand import ByHand
from local.plane.plane import Plane
from tests.support import candidates, checks, given
from tests.support.browser import CHROMIUM, Browser, browsing
from tests.support.candidates import ONE, TWO
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of
from tests.support.servers import running

PICTURES = Path(__file__).parent.parent.parent / "build" / "console"
PAGES = ("", "quality", "drift", "decisions", "explain", "requests", "act/approve?generation=2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs Chromium: no `chromium` or `google-chrome` on the PATH"
    ),
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def address(plane: Plane, by_hand: ByHand, candidate: Manifest, data: Store) -> Iterator[str]:
    """Serve a stack with drift and a candidate that waits, as `make serve` does."""
    report = msgspec.structs.replace(checks.drifted(), endpoint=NAME, version=ONE, end=NOW)
    data.put(key_of(NAME, NOW), msgspec.json.encode(report))
    server = ThreadingHTTPServer((serve.HOST, 0), serve.handler_of(plane, by_hand))
    console = serve.console_at(server.server_port)
    server.RequestHandlerClass = serve.handler_of(plane, by_hand, console)
    with running(server) as port:
        yield f"http://{serve.HOST}:{port}"


def predicted(plane: Plane) -> str:
    """Ask for a prediction, and return its id."""
    json_type = {"Content-Type": "application/json"}
    body = given.body(given.row())
    answer = plane.request("POST", f"/endpoints/{NAME}/predict", body, json_type)
    return str(answer.json()["predictions"][0]["id"])


def test_a_person_sees_drift_decides_and_finds_a_request(
    address: str, browser: Browser, plane: Plane, artifacts: Store
) -> None:
    prediction, registry = predicted(plane), registry_of(artifacts)

    browser.open(address)
    assert "▲ drift" in browser.text()
    assert f"candidate {TWO} waits" in browser.text()

    browser.click(NAME)
    assert f"candidate {TWO} goes to shadow at the next tick" in browser.text()
    browser.click(TWO)
    assert browser.run("document.title").startswith(f"Evergreen: {NAME}")
    browser.open(f"{address}/console/{NAME}")

    browser.click("Approve")
    browser.fill("reason", "the card is good")
    browser.press("Enter", then_loads=True)
    assert "Are you sure?" in browser.text()
    assert candidates.document(registry).champion == ONE
    browser.click("Yes")
    assert "Generation 3: promoted" in browser.text()
    assert candidates.document(registry).champion == TWO

    browser.click("Roll back")
    browser.fill("reason", "it was a mistake")
    browser.click("Go on")
    browser.click("Yes")
    assert candidates.document(registry).champion == ONE

    browser.click("Decisions")
    assert "it was a mistake" in browser.text()
    browser.click("Requests")
    browser.fill("id", prediction)
    browser.click("Find")
    browser.click(prediction)
    browser.click("Replay")
    assert "the same answer, to the last bit" in browser.text()
    assert browser.complaints == []


def test_every_page_fits_a_phone_in_the_light_and_in_the_dark(
    address: str, browser: Browser, plane: Plane
) -> None:
    prediction = predicted(plane)
    pages = ["/", *(f"/console/{NAME}/{page}" for page in PAGES)]
    for page in [*pages, f"/console/{NAME}/requests/{prediction}", "/console/none"]:
        for width in (1100, 360):
            for dark in (False, True):
                browser.look(width, dark=dark)
                browser.open(address + page)
                name = page.partition("?")[0].strip("/").replace(prediction, "one")
                shade = "dark" if dark else "light"
                where = f"{name.replace('/', '-') or 'endpoints'}-{width}-{shade}.png"
                browser.shot(PICTURES / where)

                root = "document.documentElement"
                assert browser.run(f"{root}.scrollWidth <= {root}.clientWidth"), where
                paper = browser.run("getComputedStyle(document.body).backgroundColor")
                assert paper == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


def test_everything_is_reached_by_keyboard(address: str, browser: Browser) -> None:
    browser.look(1100)
    browser.open(f"{address}/console/{NAME}")
    all_of = "[...document.querySelectorAll('a, button, summary')]"
    wanted = browser.run(f"{all_of}.length")

    reached = set()
    for _ in range(wanted + 5):
        browser.press("Tab")
        reached.add(browser.run(f"{all_of}.indexOf(document.activeElement)"))

    assert len(reached - {-1}) == wanted
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") in ("solid", "none")


def test_a_form_of_another_page_decides_nothing(
    address: str, browser: Browser, artifacts: Store, tmp_path: Path
) -> None:
    fields = {"generation": "2", "version": TWO, "reason": "x", "sure": "yes"}
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    foreign = tmp_path / "foreign.html"
    foreign.write_text(
        f'<form method="post" action="{address}/console/{NAME}/act/approve">{inputs}'
        "<button>Win</button></form>"
    )
    browser.open(foreign.as_uri())
    browser.click("Win")

    assert "was not answered" in browser.text()
    assert candidates.document(registry_of(artifacts)).champion == ONE
