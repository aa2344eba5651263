"""Replay the life of an endpoint at four levels of maturity: frozen, alarmed, approved, autopilot.

The first part of the rows trains. Each later row is asked for at its time, with the others of its
hour, and its label is reported later. All levels get the same requests. Without DATA it is the year
of real flights, where January trains and two things go wrong in autumn (local/demo/flights).
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from local import command_line, template
from local.demo import levels, life
from local.demo.levels import NAMES, Options
from local.demo.life import Life
from local.demo.report import page
from local.demo.report.closing import closing_lines, closing_table, said_share
from local.demo.result import Event
from local.demo.summary import merge, written
from local.plane import stack

BUILD = template.ROOT / "build" / "demo"
FLIGHTS = "flight-delay"  # the endpoint that there is a year of real data for
IN_CONTAINERS = (4,)  # one stack of containers is enough to see that the code runs in them
SECONDS = {"request": 0.012, "row": 0.0001, "day": 0.12}  # of one level, on two cores
SHOWN = {
    "Model Promoted", "Model Rolled Back", "Challenger Started", "Candidate Rejected",
    "Performance Degraded",
}  # fmt: skip


def main() -> None:
    """Run the demo and show what it was worth."""
    arguments = _arguments()
    options = msgspec.convert(vars(arguments), Options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the levels are ended too
    began = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    played = tuple(NAMES) if options.runtime == "process" else IN_CONTAINERS
    if options.runtime == "sam":
        console.print("In containers, level 4 alone is replayed.")
    with tempfile.TemporaryDirectory() as folder:
        replayed = _life(arguments, Path(folder))
        console.print(announced(replayed, options, played), highlight=False, soft_wrap=True)
        with bar(console, replayed.about.noun) as progress:
            shown = shower(progress, played, replayed.rows)
            results = levels.run(played, options, replayed, BUILD, shown)
    summary = merge(results, options, replayed.about, round(time.monotonic() - began, 1))
    (BUILD / "summary.json").write_bytes(written(summary))
    page.write(BUILD, summary, results)
    console.print(closing_table(summary))
    console.print(closing_lines(summary), highlight=False, soft_wrap=True)
    if summary.requests["errors"] or summary.dead_letters:
        sys.exit("some requests or events failed: see build/demo/level-N/lambda.log")


def _arguments() -> Any:
    parser = command_line.parser("local.demo", __doc__, "make demo MONTHS=2 SHARE=3")
    parser.add_argument("--months", type=int, help="how many after the first part; default: all")
    life.add_options(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="the same gives the same summary on one machine"
    )
    parser.add_argument(
        "--runtime",
        choices=("process", "sam"),
        default="process",
        help="sam: level 4 of the flights alone, in containers of Lambda's runtime",
    )
    parser.add_argument("--share", type=int, default=1, help="replay one row in so many")
    arguments = parser.parse_args()
    if arguments.months is not None and arguments.months < 1:
        parser.error("--months must be at least 1")
    if arguments.share < 1:
        parser.error("--share must be at least 1")
    return arguments


def _life(arguments: Any, folder: Path) -> Life:
    """Return what is to be replayed; SystemExit says why it cannot be."""
    if arguments.data is None and arguments.endpoint == FLIGHTS:
        from local.demo.flights.life import year  # which a copy of one's own does not have

        if arguments.first or arguments.label_delay != "1d":
            raise SystemExit("FIRST and LABEL_DELAY are for your own DATA: January trains here")
        sam = arguments.runtime == "sam"
        return year(folder, arguments.months, arguments.share, arguments.seed, sam=sam)
    if arguments.runtime == "sam":
        raise SystemExit(
            "RUNTIME=sam replays the flights only: functions in containers would read the whole "
            "file at once, where the replay hides from them what comes later"
        )
    file = stack.training_file(arguments.endpoint, arguments.data, folder)
    return life.of_file(
        arguments.endpoint,
        file,
        arguments.first,
        arguments.label_delay,
        arguments.months,
        arguments.share,
    )


def announced(replayed: Life, options: Options, played: tuple[int, ...]) -> str:
    """Return what will be done, and about how long it takes on two cores."""
    noun, first, last = replayed.about.noun, replayed.times[0], replayed.times[-1]
    requests = len(replayed.bounds) - 1
    days = len(set(replayed.days[replayed.first :].tolist()))
    counts = {"request": requests, "row": replayed.rows, "day": days}
    seconds = sum(SECONDS[name] * count for name, count in counts.items())
    seconds *= len(played) / min(levels.CORES, len(played))
    long = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    share = f" {said_share(options.share, noun)}" if options.share > 1 else ""
    return (
        f"{replayed.first:,} {noun} from {first.item():%Y-%m-%d} to before "
        f"{replayed.start:%Y-%m-%d %H:%M} UTC train the first model. Then {replayed.rows:,} until "
        f"{last.item():%Y-%m-%d} are asked for in {requests:,} requests, at "
        f"{len(played)} level{'s' if len(played) > 1 else ''}.{share} That takes about {long}, and "
        "the trainings."
    )


def bar(console: Console, noun: str) -> Progress:
    """Return a progress bar for each level, which shows its virtual date."""
    return Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=None),
        TextColumn(f"{{task.completed:>7,.0f}} {noun}"),
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
    return event.about


if __name__ == "__main__":
    main()
