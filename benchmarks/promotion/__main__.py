"""Measure how often promotion is wrong, and how soon it comes."""

from benchmarks import shown
from benchmarks.autopilot.versions import matrix
from benchmarks.autopilot.year import Replay
from benchmarks.installed import BUILD
from benchmarks.promotion import chance, pairs, power
from benchmarks.shown import SAME, Page, Part, conditions, told
from local.template import ROOT

PAGE = Page("make bench-promotion", ROOT / "docs" / "promotion.md", 130, BUILD / "promotion.json")
LIMIT_SECONDS = 30 * 60  # the fits take two minutes on an idle machine


def main() -> None:
    """Measure everything, and write it down, with a picture on its page."""
    quick = PAGE.parser("benchmarks.promotion", __doc__).parse_args().quick
    found, spent = shown.limited(LIMIT_SECONDS, lambda: bench(quick=quick))
    PAGE.write_parts(found, conditions(spent, after=SAME), whole=not quick)


def bench(*, quick: bool) -> list[Part]:
    """Simulate what is known, and replay what is real.

    quick: of the flights one in twenty.
    """
    runs, every = (500, 20) if quick else (10_000, 1)
    replay = Replay(
        told("models of the flights", lambda: matrix("flights", 0, every, kept=not quick))
    )
    replay.recalibrate = False
    return [
        told("wrong promotions", lambda: chance.wrong_promotions(runs)),
        told("promotions by regret", lambda: chance.by_regret(runs)),
        told("days of pairs", lambda: pairs.likeness(replay)),
        told("pairs", lambda: pairs.promoted(replay)),
        told("power", lambda: power.better(runs)),
        told("rollback", lambda: power.worse(runs)),
    ]


if __name__ == "__main__":
    main()
