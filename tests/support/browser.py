"""Chromium without a window, driven over the pipe of its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
    "--disable-background-networking", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Browser:
    """One page of a browser; complaints: what it wrote to its console."""

    reads: IO[bytes]
    writes: IO[bytes]
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    _asked: int = 0
    _loads: int = 0

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command, and return its result."""
        self._asked += 1
        asked: dict[str, Any] = {"id": self._asked, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        self.writes.write(json.dumps(asked).encode() + b"\0")
        self.writes.flush()
        while True:
            found = self._heard()
            if found.get("id") == self._asked:
                assert "error" not in found, found
                return found["result"]

    def _heard(self) -> dict[str, Any]:
        heard = b""
        while not heard.endswith(b"\0"):
            one = self.reads.read(1)
            assert one, "the browser has gone"
            heard += one
        found: dict[str, Any] = json.loads(heard[:-1])
        if found.get("method") == "Page.loadEventFired":
            self._loads += 1
        if found.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(found["params"]))
        return found

    def _until_loaded(self, loads: int) -> None:
        while self._loads == loads:
            self._heard()

    def open(self, url: str) -> None:
        """Go to an address."""
        loads = self._loads
        self.ask("Page.navigate", url=url)
        self._until_loaded(loads)

    def run(self, script: str) -> Any:
        """Return what a script of the test's own comes to in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self) -> str:
        """Return what the page says."""
        return str(self.run("document.body.innerText"))

    def click(self, text: str) -> None:
        """Click the link or button whose text begins so, and wait for the next page."""
        loads = self._loads
        self.run(
            f"[...document.querySelectorAll('a, button')]"
            f".find(one => one.innerText.startsWith({json.dumps(text)})).click()"
        )
        self._until_loaded(loads)

    def fill(self, name: str, text: str) -> None:
        """Type into a field of a form."""
        self.run(f"document.querySelector('[name={name}]').focus()")
        self.ask("Input.insertText", text=text)

    def press(self, key: str, *, then_loads: bool = False) -> None:
        """Press a key that writes nothing, and wait for the next page if there is one."""
        loads = self._loads
        code = {"Tab": 9, "Enter": 13}[key]
        more = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **more, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **more)
        if then_loads:
            self._until_loaded(loads)

    def look(self, width: int, *, dark: bool = False) -> None:
        """Make the window so wide, and the reader's colours dark or light."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def shot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        taken = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and yield its only page."""
    assert CHROMIUM
    to_read, to_write = os.pipe(), os.pipe()
    command = " ".join([CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"])
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} 3<&{to_read[0]} 4>&{to_write[1]}"],
        pass_fds=(to_read[0], to_write[1]),
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read[0])
    os.close(to_write[1])
    try:
        with os.fdopen(to_write[0], "rb") as reads, os.fdopen(to_read[1], "wb") as writes:
            browser = Browser(reads, writes)
            target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
            attached = browser.ask("Target.attachToTarget", targetId=target, flatten=True)
            browser.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                browser.ask(f"{domain}.enable")
            yield browser
    finally:
        process.kill()
        process.wait()
