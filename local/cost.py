"""Reckon what a stack costs at each maturity level, from the translated template and list prices.

Prints the tables and writes them to docs/cost.md. The tables are arithmetic: nothing was measured,
and free tiers are left out.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local import command_line, marked
from local.plane.schedule import next_time
from local.template import ROOT, Template, resolve, translate

DOCUMENT = ROOT / "docs" / "cost.md"
PAGES = {level: ROOT / "docs" / f"level-{level}.md" for level in "1234"}
LEVELS = ("1", "2", "3", "4")
MONTH = timedelta(days=30)
START = datetime(2025, 1, 1, tzinfo=UTC)  # a month is like any other: it only counts runs from here
HOURS = MONTH / timedelta(hours=1)
KB, GB = 2**10, 2**30  # bytes

VOLUMES = ((1, 1_000, 1), (100, 10_000, 1), (1, 100_000_000, 1), (1, 100_000_000, 1_000))
SHARED = 0.1  # of 5 KB a row, where 32 rows share a record

Table = dict[str, float]  # figures, or dollars, by item

FIGURES = tomllib.loads((ROOT / "local" / "cost.toml").read_text())
PRICES: Table = FIGURES["prices"]
ASSUMED: Table = FIGURES["assumed"]
SCHEDULES: dict[str, dict[str, str]] = FIGURES["schedules"]
BY_CHECKS, BY_PREDICTIONS, BY_TICKS = FIGURES["metrics"].values()
OF_RUNS = {schedule: said["metric"] for schedule, said in SCHEDULES.items()}


def main() -> None:
    """Print the tables, and write them to the document and to the page of each level."""
    levels = templates()
    text = tables(levels)
    marked.rewrite(DOCUMENT, "make cost", text)
    for level, page in PAGES.items():
        marked.rewrite(page, "make cost", sentence(levels[level]))
    print(text)


def templates() -> dict[str, Template]:
    """Return what each level deploys."""
    translated = translate()
    return {level: resolve(translated, {"MaturityLevel": level}) for level in LEVELS}


def sentence(template: Template) -> str:
    """Return what a level costs, in two figures."""
    rest, busy = (_dollars(sum(table.values())) for table in (idle(template), traffic(template)))
    return (
        f"**{rest}** a month without a request and **{busy}** for each million predictions, by\n"
        "list prices and [assumptions](cost.md), without free tiers."
    )


def tables(levels: Mapping[str, Template]) -> str:
    """Return all tables in Markdown."""
    parts = [
        "**A month without a request, one endpoint**",
        _by_level({level: idle(template) for level, template in levels.items()}),
        "**A million predictions a month, one in a request, add**",
        _by_level({level: traffic(template) for level, template in levels.items()}),
        "**A month at level 4, by volume**",
        marked.table(["", "requests", "recording", "reading", "together"], volumes(levels["4"])),
        "**Assumed**",
        _listed(ASSUMED, "", "value"),
        "**List prices of us-east-1 in US dollars, as of 2025**",
        _listed(PRICES, "$", "price"),
    ]
    return "\n\n".join(parts)


def idle(template: Template) -> Table:
    """Return what a level costs in a month in which nobody asks for anything."""
    runs = dict(_runs(template))
    alarms = sum(_metrics(a) for a in template.of_type("AWS::CloudWatch::Alarm").values())
    boards = len(template.of_type("AWS::CloudWatch::Dashboard"))
    queues = len(template.of_type("AWS::Lambda::EventSourceMapping"))
    total = sum(runs.values())
    return {
        "alarms, by the metrics that they look at": alarms * PRICES["alarm, per metric and month"],
        "dashboard (the first three of an account are free)": boards
        * PRICES["dashboard, per month"],
        "metrics of one endpoint, hours in which they are written": (
            2 * len(BY_CHECKS) * _metric_hours(runs.get("CheckFunctionDaily", 0))
        ),
        "metrics of a candidate or challenger": (
            2
            * _metric_hours(runs.get("RolloutFunctionTick", 0))
            * ASSUMED["share of the hours with a candidate or challenger"]
        ),
        "metrics of the scheduled functions": sum(
            _metric_hours(runs[name]) for name in OF_RUNS if name in runs
        ),
        "scheduled invocations in Lambda": sum(
            count
            * _lambda(template, _function(template, name), ASSUMED[SCHEDULES[name]["seconds"]])
            for name, count in runs.items()
        ),
        "their queues, mostly asked in vain": queues * PRICES["queue that is read, per month"],
        "their schedules": total * PRICES["schedules, per million invocations"] / 1e6,
        "their S3 requests": sum(count * _s3_requests(name) for name, count in runs.items()),
        "their logs and traces": total
        * (
            _log(template, ASSUMED["KB of logs of a scheduled invocation"])
            + PRICES["traces, per million"] / 1e6
        ),
        "images in their repositories": _images(template)
        * ASSUMED["GB of an image in its repository"]
        * PRICES["image storage, per GB and month"],
        "key that signs manifests": _keys(template, total),
    }


def traffic(template: Template) -> Table:
    """Return what a million predictions a month add, one in each request."""
    count = 1e6
    captured = "CaptureStream" in template.resources
    billed = count * ASSUMED["KB of a capture as Firehose bills it"] * KB / GB
    stored = count * ASSUMED["KB of a capture in S3, compressed"] * KB / GB
    puts = PRICES["S3 PUT and LIST, per thousand"] / 1e3 + PRICES["events of S3, per million"] / 1e6
    return {
        "HTTP API": count * PRICES["HTTP API requests, per million"] / 1e6,
        "Lambda": count * _lambda(template, "PredictFunction", ASSUMED["seconds of a prediction"]),
        "logs": count * _log(template, ASSUMED["KB of logs of a prediction, with the access log"]),
        "traces, at most: one a second and 5 % of the others": (
            count * PRICES["traces, per million"] / 1e6
        ),
        "metrics of predictions, written every hour": (
            2 * len(BY_PREDICTIONS) * PRICES["custom metric, per month"]
        ),
        "Firehose, in steps of 5 KB": captured * billed * PRICES["Firehose, per GB"],
        "captures written to S3": _objects(template) * puts if captured else 0,
        "captures kept, once the first expire": captured
        * stored
        * (_months_of_captures(template) * PRICES["S3 storage, per GB and month"]),
    }


def volumes(template: Template) -> list[list[str]]:
    """Return what many predictions cost, apart from the stack itself.

    Requests: API, Lambda, logs and traces; recording: Firehose and what S3 keeps; reading: runs of
    compact, check and rollout, by seconds that `make bench-scale` measured.
    """
    found = []
    each = traffic(template)
    of_requests = sum(list(each.values())[:4])
    for endpoints, a_day, in_one in VOLUMES:
        millions = endpoints * a_day * MONTH.days / 1e6
        recording = millions * (each["Firehose, in steps of 5 KB"] * (1 if in_one == 1 else SHARED))
        recording += millions * each["captures kept, once the first expire"]
        seconds = ASSUMED["seconds of compaction, counts and joins, per million predictions"]
        reading = millions * _lambda(template, "CheckFunction", seconds)
        reading += (endpoints - 1) * sum(
            idle(template)[item] for item in idle(template) if "of one endpoint" in item
        )
        parts = [millions * of_requests / in_one, recording, reading]
        text = f"{endpoints} × {a_day:,} a day, {in_one:,} in a request"
        found.append([text, *map(_dollars, parts), f"**{_dollars(sum(parts))}**"])
    return found


def _runs(template: Template) -> Iterator[tuple[str, int]]:
    """Yield each schedule that is enabled, and how often it fires in a month."""
    for name, schedule in template.enabled("AWS::Scheduler::Schedule").items():
        count, time = 0, next_time(schedule, START - timedelta(seconds=1), START)
        while time < START + MONTH:
            count, time = count + 1, next_time(schedule, time, START)
        yield name, count


def _metrics(alarm: dict[str, Any]) -> int:
    """Return how many metrics an alarm is billed for: those that its expression reads."""
    return sum(1 for metric in alarm.get("Metrics", ()) if "MetricStat" in metric) or 1


def _metric_hours(runs: int) -> float:
    """Return the price of a metric that is written by so many runs of a month, each in an hour."""
    return PRICES["custom metric, per month"] * min(1, runs / HOURS)


def _function(template: Template, schedule: str) -> str:
    """Return the logical id of the function that a schedule starts."""
    arn = template.of_type("AWS::Scheduler::Schedule")[schedule]["Target"]["Arn"]
    functions = template.of_type("AWS::Lambda::Function")
    return next(name for name in functions if arn.endswith(f"-{name.lower()}"))


def _lambda(template: Template, function: str, seconds: float) -> float:
    """Return the price of one invocation."""
    megabytes = int(template.of_type("AWS::Lambda::Function")[function]["MemorySize"])
    used = megabytes / 1024 * seconds * PRICES["Lambda, per GB-second"]
    return used + PRICES["Lambda requests, per million"] / 1e6


def _s3_requests(schedule: str) -> float:
    puts = ASSUMED["S3 PUT and LIST requests of a scheduled invocation"]
    gets = ASSUMED.get(SCHEDULES[schedule].get("gets", "none"), 0)
    dollars = puts * PRICES["S3 PUT and LIST, per thousand"] + gets * PRICES["S3 GET, per thousand"]
    return dollars / 1e3


def _log(template: Template, kilobytes: float) -> float:
    """Return the price of writing so much to the log and keeping it, uncompressed."""
    days = int(template.of_type("AWS::Logs::LogGroup")["FunctionLogGroup"]["RetentionInDays"])
    kept = days / MONTH.days * PRICES["log storage, per GB and month"]
    return kilobytes * KB / GB * (PRICES["log data, per GB"] + kept)


def _objects(template: Template) -> float:
    """Return how many objects of captures a month has, if something comes all the time."""
    stream = template.of_type("AWS::KinesisFirehose::DeliveryStream")["CaptureStream"]
    hints = stream["ExtendedS3DestinationConfiguration"]["BufferingHints"]
    return MONTH / timedelta(seconds=hints["IntervalInSeconds"])


def _months_of_captures(template: Template) -> float:
    rules = template.of_type("AWS::S3::Bucket")["DataBucket"]["LifecycleConfiguration"]["Rules"]
    (days,) = (int(rule["ExpirationInDays"]) for rule in rules if rule["Id"] == "captures")
    return days / MONTH.days


def _keys(template: Template, runs: int) -> float:
    """Return the price of the template's keys, and of what runs ask of them."""
    asked = runs * ASSUMED["requests of a key in a scheduled invocation"] / 1e4
    keys = len(template.of_type("AWS::KMS::Key"))
    return keys * PRICES["key, per month"] + asked * PRICES["requests of a key, per ten thousand"]


def _images(template: Template) -> int:
    """Return the number of functions that are images; sam makes a repository for each."""
    functions = template.of_type("AWS::Lambda::Function").values()
    return sum(1 for function in functions if function.get("PackageType") == "Image")


def _by_level(found: Mapping[str, Table]) -> str:
    heads = ["item", *(f"level {level}" for level in found)]
    items = next(iter(found.values()))
    rows = [[item, *(_dollars(table[item]) for table in found.values())] for item in items]
    sums = ["**together**", *(f"**{_dollars(sum(table.values()))}**" for table in found.values())]
    return marked.table(heads, [*rows, sums])


def _listed(values: Mapping[str, float], sign: str, head: str) -> str:
    rows = [[name, f"{sign}{value:.10g}"] for name, value in values.items()]
    return marked.table(["", head], rows)


def _dollars(amount: float) -> str:
    small = "< $0.01" if amount else "–"
    return f"${amount:,.2f}" if amount >= 0.005 else small


if __name__ == "__main__":
    command_line.parser("local.cost", __doc__, "make cost").parse_args()
    main()
