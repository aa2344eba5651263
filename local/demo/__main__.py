"""Replay a year of real flights at four levels of maturity: frozen, alarmed, approved, autopilot.

January is the training data. From February on, each scheduled hour's flights are one request, and
what became of them is reported the next morning. All levels get the same requests. In autumn a bad
training file is uploaded at the levels that retrain (injected.py), and at level 4 a vendor's
model is tried that turns bad once it answers (vendor.py).
"""

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from local import command_line, template
from local.demo import levels
from local.demo.levels import NAMES, Options, chosen
from local.demo.report import page
from local.demo.report.closing import closing_lines, closing_table, said_share
from local.demo.result import Event
from local.demo.summary import merge
from local.samples import flights

BUILD = template.ROOT / "build" / "demo"
ENDPOINTS = ("flight-delay",)  # those that there is a year of real data for
MAX_SHARE = 10  # fewer flights would be too few to train on
IN_CONTAINERS = (4,)  # one stack of containers is enough to see that the code runs in them
SHOWN = {
    "Model Promoted", "Model Rolled Back", "Challenger Started", "Candidate Rejected",
    "Performance Degraded",
}  # fmt: skip


def main() -> None:
    """Run the demo and show what it was worth."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the levels are ended too
    began = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    if options.share > 1:
        console.print(said_share(options.share), highlight=False, soft_wrap=True)
    played = tuple(NAMES) if options.runtime == "process" else IN_CONTAINERS
    if options.runtime == "sam":
        console.print("In containers, level 4 alone is replayed.")
    table = chosen(flights.flights(), options.share)
    rows = int(table["month"].between(2, options.months + 1).sum())
    with bar(console) as progress:
        results = levels.run(played, options, table, BUILD, shower(progress, played, rows))
    summary = merge(results, options, round(time.monotonic() - began, 1))
    (BUILD / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    page.write(BUILD, summary, results)
    console.print(closing_table(summary))
    console.print(closing_lines(summary), highlight=False, soft_wrap=True)
    if summary.requests["errors"] or summary.dead_letters:
        sys.exit("some requests or events failed: see build/demo/level-N/lambda.log")


def _options() -> Options:
    parser = command_line.parser("local.demo", __doc__, "make demo MONTHS=2 SHARE=3")
    parser.add_argument("--months", type=int, default=11, help="how many from February on, 1 to 11")
    parser.add_argument(
        "--endpoint", choices=ENDPOINTS, default=ENDPOINTS[0], help="whose requests to replay"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the same gives the same summary on one machine"
    )
    parser.add_argument(
        "--runtime",
        choices=("process", "sam"),
        default="process",
        help="sam: level 4 alone, in containers of Lambda's runtime",
    )
    parser.add_argument("--share", type=int, default=1, help="replay one flight in so many")
    arguments = parser.parse_args()
    if not 1 <= arguments.months <= 11:
        parser.error("--months must be from 1 to 11")
    if not 1 <= arguments.share <= MAX_SHARE:
        parser.error(f"--share must be from 1 to {MAX_SHARE}")
    return Options(
        endpoint=arguments.endpoint,
        months=arguments.months,
        seed=arguments.seed,
        share=arguments.share,
        runtime=arguments.runtime,
    )


def bar(console: Console) -> Progress:
    """Return a progress bar for each level, which shows its virtual date."""
    return Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:>7,.0f} flights"),
        TimeElapsedColumn(),
        console=console,
    )


def shower(
    progress: Progress, played: tuple[int, ...], rows: int
) -> Callable[[int, str, Any], None]:
    """Return what shows the progress of the levels, and the decisions of each as they fall."""
    tasks: dict[int, TaskID] = {}
    for level in played:
        tasks[level] = progress.add_task(f"{level} {NAMES[level]}", total=rows, start=False)

    def show(level: int, kind: str, value: Any) -> None:
        if kind == "rows":
            at, asked = value
            progress.start_task(tasks[level])
            name = NAMES[level] if len(NAMES[level]) < 21 else NAMES[level].partition(",")[0]
            progress.update(tasks[level], advance=asked, description=f"{level} {name}, {at:%d %b}")
        elif kind == "event" and value.type in SHOWN:
            line = f"{level}  {value.time:%d %b}  [bold]{value.type:<20}[/bold] {said(value)}"
            progress.console.print(line, highlight=False, soft_wrap=True)
        elif kind == "ended":
            progress.stop_task(tasks[level])

    return show


def said(event: Event) -> str:
    """Return what an event is about, in a line."""
    detail = event.detail
    if event.type == "Challenger Started":
        share = f" {detail['share']:.0%}" if detail["share"] else ""
        return f"{detail['stage']}{share}: {detail['reason']}"
    return str(detail.get("reason") or ", ".join(detail.get("features", ())))


if __name__ == "__main__":
    main()
