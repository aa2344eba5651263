"""Measure how often promotion is wrong, how soon it comes, and what caution costs in a year."""

from benchmarks import shown
from benchmarks.installed import BUILD
from benchmarks.promotion import chance, curve, pairs, power
from benchmarks.promotion.flights import year
from benchmarks.promotion.year import Replay
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

    quick: of the flights one in twenty, and of the mornings of training one in four; at most one
    year of each schedule, of those that begin on another day.
    """
    runs, every, apart, starts = (500, 20, 4, 1) if quick else (10_000, 1, 1, 8)
    replay = Replay(told("models of the flights", lambda: year(every, apart)))
    return [
        told("wrong promotions", lambda: chance.wrong_promotions(runs)),
        told("days of pairs", lambda: pairs.likeness(replay)),
        told("pairs", lambda: pairs.promoted(replay)),
        told("power", lambda: power.better(runs)),
        told("rollback", lambda: power.worse(runs)),
        told("years", lambda: curve.part(list(curve.points(replay, starts)))),
    ]


if __name__ == "__main__":
    main()
