"""A door to the console: who may come in, which page a path is, and what a form does.

A browser that has it open also shows pages of others. So a request is answered only by the name
and port that the door listens on, and a form only from a page of its own; the door to a stack also
wants the cookie that its one-time token was changed for.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from cli import training_data
from cli.api import AddressError, Api, RefusedError, UnreachableError
from evergreen.contract.identifiers import is_endpoint
from evergreen.monitoring.report import CheckReport
from evergreen.pages.check_report import page as check_page
from evergreen.pages.console import views
from evergreen.pages.html import render
from local.console import deciding, looking
from local.plane.gateway import Answer

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
LOCKED = "Open the console again with `evergreen console`: this address was for one use."
FOREIGN = "This request comes from another page than the console's own, and was not answered."


@dataclass
class Console:
    """The console of one API.

    hosts: names with port that a request may ask for. stack: what is told of where one is. put:
    takes an endpoint, the name of a training file and its bytes. token: opens the door once, to
    the page `first`; None where it is open to whoever is on this machine.
    """

    api: Api
    hosts: frozenset[str]
    stack: str
    put: Callable[[str, str, bytes], object]
    token: str | None = None
    first: str = "/"
    _cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _locked: bool = False

    def __post_init__(self) -> None:
        self._locked = self.token is not None

    @staticmethod
    def has(path: str) -> bool:
        """Say whether a path is of the console, and not of the API."""
        return path.partition("?")[0] == "/" or path.startswith("/console/")

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        headers = {name.lower(): value for name, value in headers.items()}
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query))
        if refused := self._refused(method, headers):
            return self._failed(403, "Not answered", refused)
        if self._locked and not self._knows(headers):
            return self._opened(asked.get("token", ""))
        try:
            if path == "/":
                return self._shown("endpoints", "Endpoints", looking.endpoints(self.api, asked))
            name, *rest = map(unquote, path.removeprefix("/console/").rstrip("/").split("/"))
            if method == "POST":
                return self._posted(name, rest, headers, body or b"")
            return self._page(name, rest, asked)
        except RefusedError as error:
            faults: list[tuple[str, str]] = []
            with suppress(ValueError, LookupError, TypeError):  # not every answer is the API's own
                found = msgspec.json.decode(error.body)["error"]["faults"]
                faults = [(each["path"], each["message"]) for each in found]
            return self._failed(error.status, "Refused", str(error), faults, path)
        except (UnreachableError, AddressError) as error:
            return self._failed(502, "No answer", str(error), back=path)

    # Who may come in

    def _refused(self, method: str, headers: Mapping[str, str]) -> str:
        """Return why a request is not answered, or an empty text."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return f"The console is at {' and '.join(sorted(self.hosts))} alone."
        if method not in ("GET", "POST"):
            return "Only GET and POST are answered."
        own = f"http://{host}"
        if origin not in (own, None) or (method == "POST" and origin is None):
            return FOREIGN
        if method == "POST" and headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return FOREIGN
        return ""

    @property
    def _name(self) -> str:
        """Return the cookie's name: all ports of this machine share their cookies."""
        return f"evergreen-{min(self.hosts).rpartition(':')[2]}"

    def _knows(self, headers: Mapping[str, str]) -> bool:
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        given = next((value for name, _, value in pairs if name == self._name), "")
        return secrets.compare_digest(given.encode(), self._cookie.encode())

    def _opened(self, token: str) -> Answer:
        """Change the token for a cookie, once."""
        known, self.token = self.token, self.token if not token else None
        if not token or known is None or not secrets.compare_digest(token.encode(), known.encode()):
            return self._failed(403, "Closed", LOCKED)
        cookie = f"{self._name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"
        return Answer(303, HEADERS | {"location": self.first, "set-cookie": cookie}, "")

    # Pages

    def _page(self, name: str, rest: list[str], query: Mapping[str, str]) -> Answer:
        match rest if is_endpoint(name) else ["", ""]:
            case [] | ["quality" | "drift" | "decisions" | "explain" | "requests"]:
                tab = rest[0] if rest else ""
                found = looking.VIEWS[tab](self.api, name, query)
                kept = {key: value for key, value in query.items() if key != "before"}
                more = {"query": urlencode(kept), "endpoint": name}
                return self._shown(tab or "endpoint", name, found | more, name, tab)
            case ["requests", prediction]:
                found = looking.request(self.api, name, prediction, again=False)
                return self._shown("request", prediction, found, name, "requests")
            case ["act", action] if action in deciding.ACTIONS:
                form = deciding.form(self.api, name, action, query)
                return self._shown("act", action, form | {"sure": False}, name)
            case ["check"]:
                if (report := looking.check(self.api, name, {})["report"]) is None:
                    raise RefusedError(404, "", f"no check has looked at {name} yet")
                return Answer(200, HEADERS, check_page(msgspec.convert(report, CheckReport)))
            case ["versions", version]:
                return self._card(name, version)
        return self._failed(404, "Not found", "There is no such page.")

    def _card(self, name: str, version: str) -> Answer:
        path = f"/endpoints/{quote(name, safe='')}/versions/{quote(version, safe='')}/report"
        status, page = self.api.send("GET", path)
        if status != 200:
            self.api.get("endpoints", name, "versions", version)  # which says what is wrong
            raise RefusedError(404, "", f"{version} has no model card")
        return Answer(200, HEADERS, page.decode())

    # Forms

    def _posted(
        self, name: str, rest: list[str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        match rest if is_endpoint(name) else []:
            case ["requests", prediction]:
                found = looking.request(self.api, name, prediction, again=True)
                return self._shown("request", prediction, found, name, "requests")
            case ["act", action] if action in deciding.ACTIONS:
                content_type = headers.get("content-type", "")
            case _:
                return self._failed(404, "Not found", "There is no such page.")
        if content_type.startswith("multipart/form-data"):
            given, file, content = deciding.file_of(content_type, body)
        else:
            given, file, content = dict(parse_qsl(body.decode(errors="replace"))), "", b""
        form = deciding.form(self.api, name, action, given)
        if not (form["sure"] and given.get("sure") == "yes"):
            return self._shown("act", action, form, name)
        if action == "upload":
            if said := training_data.why_not(file) or deciding.odd(file):
                raise RefusedError(400, "", said)
            self.put(name, file, content)
        else:
            deciding.decide(self.api, name, action, given)
        mark = "?done=1" if "reason" in form["ask"] else ""
        return Answer(303, HEADERS | {"location": f"/console/{quote(name, safe='')}{mark}"}, "")

    def _shown(
        self, view: str, title: str, data: Mapping[str, Any], name: str = "", tab: str = "-"
    ) -> Answer:
        door = views.Door(acts=True, now=looking.now())
        page = render(
            views.TEMPLATES / "shell.html.jinja",
            fragment=views.render(view, dict(data) | {"endpoint": name}, "auto", door),
            title=title, endpoint=name, tab=tab, stack=self.stack, door=door,
        )  # fmt: skip
        return Answer(200, HEADERS, page)

    def _failed(
        self, status: int, title: str, said: str, faults: Any = (), back: str = "/"
    ) -> Answer:
        data = {"said": said, "faults": faults, "back": back, "title": title}
        return replace(self._shown("failed", title, data), status=status)
