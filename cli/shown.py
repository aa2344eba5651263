"""Answers of the API as people read them; each function returns what rich prints."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

NOTHING = "–"

COUNTED = "A day counts when its labels have had their time: policy.label_days and two hours later."


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    made = Table()
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*(Text(NOTHING if cell is None else str(cell)) for cell in row))
    return made


def time(text: str | None) -> str:
    """Return a time as the API writes it, to the minute.

    >>> time("2013-02-01T12:00:00Z")
    '2013-02-01 12:00'
    """
    return text[:16].replace("T", " ") if text else NOTHING


def endpoints(answer: Any) -> RenderableType:
    """Return the endpoints as a table."""
    if not answer["endpoints"]:
        return Text("No endpoint has a champion yet.")
    rows = [
        (one["endpoint"], one["champion"], time(one["since"]), "; ".join(_also(one)))
        if not one.get("error")
        else (one["endpoint"], None, None, one["error"].get("message"))
        for one in answer["endpoints"]
    ]
    return _table(("endpoint", "champion", "since (UTC)", "also"), rows)


def _also(document: Mapping[str, Any]) -> Iterable[str]:
    """Yield what else goes on at an endpoint."""
    if paused := document.get("paused"):
        yield f"paused: {paused}"
    if challenger := document.get("challenger"):
        share = challenger.get("share") or 0.0
        stage = f"{challenger['stage']} {share:.0%}" if share else challenger["stage"]
        yield f"{challenger['version']} in {stage}"
    if experiment := document.get("experiment"):
        yield f"experiment {experiment['id']}"
    for version, status in (document.get("statuses") or {}).items():
        if status == "candidate":
            yield f"candidate {version} waits"


def versions(answer: Any) -> RenderableType:
    """Return the versions as a table."""
    if not answer["versions"]:
        return Text("No version has this status.")
    titles = ("version", "status", "kind")
    return _table(titles, ([one[title] for title in titles] for one in answer["versions"]))


def standing(document: Any) -> RenderableType:
    """Return an endpoint's state in a line."""
    champion = f"champion {document['champion']} since {time(document['since'])} UTC"
    text = f"{document['endpoint']}, generation {document['generation']}: {champion}"
    return Text("; ".join([text, *_also(document)]))


def status(answer: Any) -> RenderableType:
    """Return state, evidence and outlook."""
    parts: list[RenderableType] = [standing(answer["document"])]
    if evidence := answer.get("evidence"):
        for titles, names, fields in _EVIDENCE:
            told = {name: evidence[name] for name in names if evidence[name].get(fields[0])}
            rows = [(name, *(_number(one.get(f)) for f in fields)) for name, one in told.items()]
            parts += [_table(titles, rows)] if rows else []
        warnings = [*evidence["faults"], *evidence["alarms"], *evidence["broken"].values()]
        parts += [Text(f"! {text}") for text in warnings]
    if change := answer.get("next"):
        parts.append(Text(f"Next: {change['type']} {change['version']}: {change['reason']}"))
    return Group(*parts, *(Text(f"Waits: {text}") for text in answer.get("waits", ())))


_EVIDENCE = (  # the titles of a table, who has a row in it, and the fields of that, of which ...
    (
        ("evidence", "days", "rows", "gain", "from", "to"),
        ("comparison", "watched"),
        ("days", "rows", "gain", "lower", "upper"),
    ),
    (
        ("requests of", "requests", "failed", "slow", "PSI"),
        ("canary", "champion"),
        ("requests", "failed", "slow", "psi"),
    ),
)


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:+.4f}"
    return f"{value:,}" if isinstance(value, int) else value


def decisions(answer: Any) -> RenderableType:
    """Return the decisions as a table, oldest first."""
    rows = []
    for one in answer["decisions"]:
        what = f"{one['type']}\n{one['version']}\n{time(one['time'])} UTC"
        rows.append((what, f"{one['generation']}, {one['by']}: {one['reason']}"))
    return _table(("decision", "generation, who and why"), rows)


def decided(answer: Any) -> RenderableType:
    """Return what was decided in a line."""
    one = answer["decision"]
    verdict = one.get("figures", {}).get("verdict")
    text = f"Done: {one['type']}, {one['version']}, generation {answer['generation']}"
    return Text(f"{text}; {verdict}: {one['reason']}" if verdict else text)


def explanation(answer: Any) -> RenderableType:
    """Return the paragraphs, an empty line between them."""
    return Text("\n\n".join(answer["paragraphs"]))


def experiments(answer: Any) -> RenderableType:
    """Return the experiment that runs, and those that have ended."""
    parts: list[RenderableType] = []
    if found := answer["running"]:
        one, standing = found["experiment"], found["standing"]
        until = f"(until {time(one['end'])} UTC at the latest)"
        rows: list[tuple[str, ...]] = []
        for number, arm in enumerate(("control", "treatment")):
            counts = standing["rows"][number], standing["labelled"][number]
            new = found["uncounted"][arm]
            more = f"{new['requests']:,} requests, {new['rows']:,} rows"
            rows.append((arm, one[arm], *(f"{count:,}" for count in counts), more))
        table = _table(("arm", "version", "rows", "labelled", "not counted yet"), rows)
        head = Text(f"{one['id']}: {one['hypothesis']} {until}")
        parts += [head, table, Text(found["says"]), Text(COUNTED)]
    else:
        parts.append(Text("No experiment is running."))
    if answer["past"]:
        ended = []
        for one in answer["past"]:
            asked = one["experiment"]
            what = f"{asked['id']}\n{one['verdict']}\n{time(one['time'])} UTC"
            ended.append((what, f"{asked.get('hypothesis')}: {one['reason']}"))
        parts.append(_table(("experiment", "hypothesis, and why it ended"), ended))
    return Group(*parts)


def replay(answer: Any) -> RenderableType:
    """Return the steps of a replay, and whether the answer is the same."""
    steps = [(one["step"], one["text"]) for one in answer["steps"]]
    table = _table(("step", "what was found"), steps)
    verdict = {
        True: "Identical, bit for bit.",
        False: "NOT identical.",
        None: "It could not be replayed; the last step says why.",
    }[answer["identical"]]
    return Group(table, Text(verdict))


def asked_for(answer: Any) -> RenderableType:
    """Return that a training was asked for."""
    return Text(f"Asked for a training of {answer['endpoint']}: run {answer['run']}…")


def passed(answer: Any) -> RenderableType:
    """Return what was announced while time passed, and what time it is."""
    lines = [f"{time(answer['time'])} UTC"]
    for one in answer["events"]:
        detail = one["detail"]
        about = detail.get("reason") or ", ".join(detail.get("features", ()))
        version = f" {detail['version']}" if detail.get("version") else ""
        lines.append(f"  {time(one['time'])} {one['type']}{version}{': ' if about else ''}{about}")
    return Text("\n".join(lines))


def files(found: Any) -> RenderableType:
    """Return what S3 lists, a line for each file: its time (UTC), bytes and key."""
    listed = [(time(f"{one['LastModified']}"), one) for one in found.get("Contents", ())]
    lines = [f"{at} {one['Size']:>12,} {one['Key']}" for at, one in listed]
    return Text("\n".join(lines) or "There is no training file.")


def run(answer: Any) -> RenderableType:
    """Return how a training ended."""
    version = f" {answer['version']}" if answer.get("version") else ""
    return Text(f"{answer['run']}: {answer['outcome']}{version}: {answer['reason']}")
