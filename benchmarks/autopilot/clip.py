"""Numbers kept within what training saw, in front of a linear model."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Clip(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clip each column to its first and its 99th percentile."""

    def fit(self, rows: Any, _: Any = None) -> Self:
        """Learn the percentiles of rows, shape (rows, columns)."""
        self.bounds_ = np.nanquantile(np.asarray(rows, float), [0.01, 0.99], axis=0)
        return self

    def transform(self, rows: Any) -> Any:
        """Return rows, clipped."""
        return np.clip(np.asarray(rows, float), *self.bounds_)
