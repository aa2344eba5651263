"""Reckon what a stack costs at each maturity level, from the translated template and list prices.

Prints the tables and writes them to docs/cost.md. The tables are arithmetic: nothing was measured,
and free tiers are left out.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

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
    return {level: resolve(translated, {"MaturityLevel": level}) for level in PAGES}


def sentence(template: Template) -> str:
    """Return what a level costs, in two figures."""
    rest, busy = (_dollars(sum(table.values())) for table in (idle(template), traffic(template)))
    said = f"**{rest}** a month without a request and **{busy}** for each million predictions, by"
    return f"{said}\nlist prices and [assumptions](cost.md), without free tiers."


def tables(levels: Mapping[str, Template]) -> str:
    """Return all tables in Markdown."""
    by_volume = ["", "requests", "recording", "reading", "together"]
    return "\n\n".join(
        [
            "**A month without a request, one endpoint**",
            _by_level({level: idle(template) for level, template in levels.items()}),
            "**A million predictions a month, one in a request, add**",
            _by_level({level: traffic(template) for level, template in levels.items()}),
            "**A month at level 4, by volume**",
            marked.table(by_volume, volumes(levels["4"])),
            "**Assumed**",
            marked.table(["", "value"], [[name, f"{n:.10g}"] for name, n in ASSUMED.items()]),
            "**List prices of us-east-1 in US dollars, as of 2025**",
            marked.table(["", "price"], [[name, f"${n:.10g}"] for name, n in PRICES.items()]),
        ]
    )


def idle(template: Template) -> Table:
    """Return what a level costs in a month in which nobody asks for anything."""
    runs = dict(_runs(template))
    total, price = sum(runs.values()), PRICES.__getitem__
    read = [one.get("Metrics", ()) for one in template.of_type("AWS::CloudWatch::Alarm").values()]
    alarms = sum(sum("MetricStat" in one for one in metrics) or 1 for metrics in read)
    boards = len(template.of_type("AWS::CloudWatch::Dashboard"))
    queues = len(template.of_type("AWS::Lambda::EventSourceMapping"))
    functions = template.of_type("AWS::Lambda::Function").values()
    images = sum(one.get("PackageType") == "Image" for one in functions)
    keys = len(template.of_type("AWS::KMS::Key")) * price("key, per month")
    asked = total * ASSUMED["requests of a key in a scheduled invocation"] / 1e4
    # the price of a metric that is written by the runs of a schedule, each in an hour
    metric = {
        name: min(1, runs.get(name, 0) / HOURS) * price("custom metric, per month")
        for name in SCHEDULES
    }
    compared = ASSUMED["share of the hours with a candidate or challenger"]
    invoked = sum(count * _scheduled(template, name) for name, count in runs.items())
    log = _log(template, ASSUMED["KB of logs of a scheduled invocation"])
    stored = ASSUMED["GB of an image in its repository"] * price("image storage, per GB and month")
    return {
        "alarms, by the metrics that they look at": alarms * price("alarm, per metric and month"),
        "dashboard (the first three of an account are free)": boards
        * price("dashboard, per month"),
        "metrics of one endpoint, hours in which they are written": (
            2 * len(BY_CHECKS) * metric["CheckFunctionDaily"]
        ),
        "metrics of a candidate or challenger": 2 * metric["RolloutFunctionTick"] * compared,
        "metrics of the scheduled functions": sum(metric.values()),
        "scheduled invocations in Lambda": invoked,
        "their queues, mostly asked in vain": queues * price("queue that is read, per month"),
        "their schedules": total * price("schedules, per million invocations") / 1e6,
        "their S3 requests": sum(count * _s3_requests(name) for name, count in runs.items()),
        "their logs and traces": total * (log + price("traces, per million") / 1e6),
        "images in their repositories": images * stored,
        "key that signs manifests": keys + asked * price("requests of a key, per ten thousand"),
    }


def traffic(template: Template) -> Table:
    """Return what a million predictions a month add, one in each request."""
    count, price = 1e6, PRICES.__getitem__
    billed = count * ASSUMED["KB of a capture as Firehose bills it"] * KB / GB
    stored = count * ASSUMED["KB of a capture in S3, compressed"] * KB / GB
    puts = price("S3 PUT and LIST, per thousand") / 1e3 + price("events of S3, per million") / 1e6
    objects = months = 0.0
    if "CaptureStream" in template.resources:  # written all the time, if something comes
        stream = template.of_type("AWS::KinesisFirehose::DeliveryStream")["CaptureStream"]
        hints = stream["ExtendedS3DestinationConfiguration"]["BufferingHints"]
        objects = MONTH / timedelta(seconds=hints["IntervalInSeconds"])
        data = template.of_type("AWS::S3::Bucket")["DataBucket"]
        rules = {rule["Id"]: rule for rule in data["LifecycleConfiguration"]["Rules"]}
        months = int(rules["captures"]["ExpirationInDays"]) / MONTH.days
    return {
        "HTTP API": count * price("HTTP API requests, per million") / 1e6,
        "Lambda": count * _lambda(template, "PredictFunction", ASSUMED["seconds of a prediction"]),
        "logs": count * _log(template, ASSUMED["KB of logs of a prediction, with the access log"]),
        "traces, at most: one a second and 5 % of the others": (
            count * price("traces, per million") / 1e6
        ),
        "metrics of predictions, written every hour": (
            2 * len(BY_PREDICTIONS) * price("custom metric, per month")
        ),
        "Firehose, in steps of 5 KB": bool(months) * billed * price("Firehose, per GB"),
        "captures written to S3": objects * puts,
        "captures kept, once the first expire": (
            months * stored * price("S3 storage, per GB and month")
        ),
    }


def volumes(template: Template) -> list[list[str]]:
    """Return what many predictions cost, apart from the stack itself.

    Requests: API, Lambda, logs and traces; recording: Firehose and what S3 keeps; reading: runs of
    compact, check and rollout, by seconds that `make bench-scale` measured.
    """
    found, each, one = [], traffic(template), idle(template)
    of_requests = sum(list(each.values())[:4])
    more = sum(dollars for item, dollars in one.items() if "of one endpoint" in item)
    for endpoints, a_day, in_one in VOLUMES:
        millions = endpoints * a_day * MONTH.days / 1e6
        streamed = each["Firehose, in steps of 5 KB"] * (1 if in_one == 1 else SHARED)
        recording = millions * (streamed + each["captures kept, once the first expire"])
        seconds = ASSUMED["seconds of compaction, counts and joins, per million predictions"]
        reading = millions * _lambda(template, "CheckFunction", seconds)
        reading += (endpoints - 1) * more
        parts = [millions * of_requests / in_one, recording, reading]
        text = f"{endpoints} × {a_day:,} a day, {in_one:,} in a request"
        found.append([text, *map(_dollars, parts), f"**{_dollars(sum(parts))}**"])
    return found


def _runs(template: Template) -> Iterator[tuple[str, int]]:
    for name, schedule in template.enabled("AWS::Scheduler::Schedule").items():
        count, time = 0, next_time(schedule, START - timedelta(seconds=1), START)
        while time < START + MONTH:
            count, time = count + 1, next_time(schedule, time, START)
        yield name, count


def _scheduled(template: Template, schedule: str) -> float:
    """Return the price of one invocation that a schedule starts, in Lambda."""
    arn = template.of_type("AWS::Scheduler::Schedule")[schedule]["Target"]["Arn"]
    functions = template.of_type("AWS::Lambda::Function")
    function = next(name for name in functions if arn.endswith(f"-{name.lower()}"))
    return _lambda(template, function, ASSUMED[SCHEDULES[schedule]["seconds"]])


def _lambda(template: Template, function: str, seconds: float) -> float:
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


def _by_level(found: Mapping[str, Table]) -> str:
    heads = ["item", *(f"level {level}" for level in found)]
    items = next(iter(found.values()))
    rows = [[item, *(_dollars(table[item]) for table in found.values())] for item in items]
    sums = ["**together**", *(f"**{_dollars(sum(table.values()))}**" for table in found.values())]
    return marked.table(heads, [*rows, sums])


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.005 else "< $0.01" if amount else "–"


if __name__ == "__main__":
    command_line.parser("local.cost", __doc__, "make cost").parse_args()
    main()
