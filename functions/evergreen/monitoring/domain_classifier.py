"""Have the requests moved together? A classifier that tells the window from the reference says so.

Features that each look as they did may go together differently, which no test of one feature sees.
Source: Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, 2017.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy.stats import mannwhitneyu
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

from evergreen.contract.problem import Bools, Floats
from evergreen.contract.schema import Columns, shortened

REFERENCE_ROWS = 2_000  # of the reference, which costs nothing more to have
WINDOW_ROWS = 1_000  # more would find what does not matter
MIN_SAMPLE = 200
MIN_AUC = 0.55
P = 0.01
CATEGORIES = 10  # of each text, the most frequent; the others are one


@dataclass(frozen=True)
class Separation:
    """How well the better of two classifiers tells two samples apart; p is Mann-Whitney's."""

    auc: float
    p: float
    rows: int


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def separation(reference: Columns, window: Columns) -> Separation | None:
    """Train two classifiers on one half of both samples, and compare their scores on the other.

    Returns None where a sample is too small or has no value at all. The order of the rows counts:
    the caller sees to it that the same rows come in the same order.
    """
    one, other = _thinned(reference, REFERENCE_ROWS), _thinned(window, WINDOW_ROWS)
    if min(len(one), len(other)) < MIN_SAMPLE:
        return None
    columns, numbers = _numbers(pd.concat([one, other], ignore_index=True))
    side = np.repeat([0, 1], [len(one), len(other)])
    half = np.random.default_rng(0).permutation(len(side)) % 2 == 0
    filled = ~np.isnan(columns[half]).all(axis=0)  # a column without a value cannot be fitted
    columns, numbers = columns[:, filled], int(filled[:numbers].sum())
    if not columns.shape[1]:
        return None
    found = [_held_out(model, columns, side, half) for model in _models(numbers)]
    auc, p = max(found)
    return Separation(auc, min(1.0, p * len(found)), len(side))


def _thinned(columns: Columns, rows: int) -> pd.DataFrame:
    places = spread(len(next(iter(columns.values()), ())), rows)
    return pd.DataFrame({name: shortened(values[places]) for name, values in columns.items()})


def spread(rows: int, wanted: int) -> Any:
    """Return up to `wanted` places of `rows` rows, evenly spread."""
    return np.linspace(0, rows - 1, min(rows, wanted)).astype(np.intp)


def _numbers(frame: pd.DataFrame) -> tuple[Floats, int]:
    """Return rows as numbers, shape (rows, columns), NaN where missing, and how many are numbers.

    After the numbers come flags, one for each frequent value of a text.
    """
    numbers, flags = [np.zeros((len(frame), 0))], []
    for name in frame:
        values = frame[name]
        if is_numeric_dtype(values):
            numbers.append(values.to_numpy(dtype=np.float64)[:, None])
            continue
        texts = values.to_numpy(dtype=str)
        found, rows = np.unique(texts, return_counts=True)
        common = found[np.argsort(-rows, kind="stable")[:CATEGORIES]]
        flags.append((texts[:, None] == common).astype(np.float64))
    left = np.concatenate(numbers, axis=1)
    return np.concatenate([left, *flags], axis=1), left.shape[1]


def _models(numbers: int) -> list[Any]:
    """Return a model of pairs of the first so many columns, and one of steps."""
    pairs = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), PolynomialFeatures(2)
    )
    columns = ColumnTransformer([("pairs", pairs, slice(numbers))], remainder=StandardScaler())
    linear = make_pipeline(columns, LogisticRegression(C=0.01, max_iter=200))
    steps = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
    return [linear, steps] if numbers else [steps]


def _held_out(model: Any, columns: Floats, side: Any, half: Bools) -> tuple[float, float]:
    """Fit on one half; return the area under the curve on the other, and its p."""
    scores = model.fit(columns[half], side[half]).predict_proba(columns[~half])[:, 1]
    one, other = scores[side[~half] == 0], scores[side[~half] == 1]
    test = mannwhitneyu(other, one, alternative="greater", method="asymptotic")
    p = float(test.pvalue) if np.isfinite(test.pvalue) else 1.0  # NaN where all are tied
    return float(test.statistic) / (len(one) * len(other)), p
