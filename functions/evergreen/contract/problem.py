"""The kinds of problem: what a label is, what a model says, and how far off that was."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract.errors import CandidateError

Kind = Literal["binary", "multiclass", "regression"]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Answer = bool | float | str
KINDS: dict[Kind, Any] = {"binary": bool, "multiclass": Text, "regression": float}  # of a label
THRESHOLD = 0.5  # from which a probability answers true
MIN_CLASSES = 3  # of multiclass: two columns of scores are those of false and true
_EPSILON = 1e-15


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What a version predicts.

    kind: `binary` (labels are booleans, scores the probability of true), `multiclass` (labels are
    texts, scores the probability of each of `classes`) or `regression` (labels and scores are
    numbers). classes: those of the rows that the version was fitted on, in order. scale: of a
    regression, the mean distance of the training labels from their median, by which errors are
    divided.
    """

    kind: Kind = "binary"
    classes: list[str] = []
    scale: float = 1.0

    @property
    def metric(self) -> str:
        """Return the name of the loss by which versions are compared, lower is better."""
        return "relative absolute error" if self.kind == "regression" else "log-loss"

    @property
    def bounded_metric(self) -> str:
        """Return the name of the loss of `bounded`."""
        return "clipped relative error" if self.kind == "regression" else "Brier score"

    def like(self, other: "Problem") -> "Problem":
        """Return this problem with losses in the unit of another, so that they can be compared."""
        return msgspec.structs.replace(self, scale=other.scale)

    def losses(self, labels: npt.NDArray[Any], scores: Floats) -> Floats:
        """Return the loss of each row, shape (rows,).

        labels: shape (rows,). scores: shape (rows,), or (rows, classes) for multiclass.

        >>> Problem().losses(np.array([True, False]), np.array([0.5, 0.5])).round(3).tolist()
        [0.693, 0.693]
        """
        if self.kind == "regression":
            return np.asarray(np.abs(scores - labels) / self.scale, dtype=np.float64)
        return -np.log(np.clip(self._of_label(labels, scores), _EPSILON, 1.0))

    def bounded(self, labels: npt.NDArray[Any], scores: Floats) -> Floats:
        """Return a loss in [0, 1] of each row, shape (rows,), for what needs a bounded one.

        The Brier score, of multiclass half of it; of a regression the relative error, at most 1,
        which is about what the median would do.

        >>> Problem(kind="regression", scale=9).bounded(np.array([4.5, 50.0]), np.zeros(2)).tolist()
        [0.5, 1.0]
        """
        if self.kind == "regression":
            return np.minimum(self.losses(labels, scores), 1.0)
        given = self._of_label(labels, scores)
        if self.kind == "binary":
            return (1 - given) ** 2
        return np.asarray((scores**2).sum(axis=1) + 1 - 2 * given, dtype=np.float64) / 2

    def _of_label(self, labels: npt.NDArray[Any], scores: Floats) -> Floats:
        """Return the probability that each row's own label was given."""
        if self.kind == "binary":
            return np.where(labels, scores, 1 - scores)
        columns = self._columns(labels)
        found = scores[np.arange(len(columns)), columns]
        return np.where(columns >= 0, found, 0.0)  # a class that training never saw

    def _columns(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place.get(label, -1) for label in labels], dtype=np.intp)

    def answered(self, scores: Floats) -> npt.NDArray[Any]:
        """Return the label that each row of scores answers, shape (rows,)."""
        if self.kind == "binary":
            return np.asarray(scores >= THRESHOLD)
        if self.kind == "regression":
            return scores
        return np.array(self.classes, dtype=object)[scores.argmax(axis=1)]

    def top(self, scores: Floats) -> Floats:
        """Return one number of each row, shape (rows,): of multiclass that of the likeliest."""
        return scores.max(axis=1) if scores.ndim == 2 else scores

    def came_true(self, labels: npt.NDArray[Any], scores: Floats) -> tuple[Floats, Bools]:
        """Return probabilities and whether what they are of happened, none of a regression.

        Of a binary problem that the label is true, of multiclass that the answer is right.
        """
        if self.kind == "regression":
            return np.zeros(0), np.zeros(0, dtype=bool)
        if self.kind == "binary":
            return scores, labels
        return self.top(scores), np.asarray(self.answered(scores) == labels, dtype=bool)

    def recorded(
        self, score: Sequence[float], scores: Sequence[Mapping[str, float] | None]
    ) -> Floats:
        """Return the scores of answers that were recorded as `answers` gave them."""
        if self.kind != "multiclass":
            return np.array(score, dtype=np.float64)
        rows = [[(row or {}).get(name, 0.0) for name in self.classes] for row in scores]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.classes))

    def answers(self, scores: Floats) -> list[dict[str, Any]]:
        """Return what a caller gets of each row: `label`, `score`, of multiclass also `scores`.

        >>> Problem(kind="multiclass", classes=["a", "b", "c"]).answers(np.array([[0.1, 0.7, 0.2]]))
        [{'label': 'b', 'score': 0.7, 'scores': {'a': 0.1, 'b': 0.7, 'c': 0.2}}]
        """
        pairs = zip(self.answered(scores).tolist(), self.top(scores).tolist(), strict=True)
        found = [{"label": label, "score": score} for label, score in pairs]
        if self.kind == "multiclass":
            for answer, row in zip(found, scores.tolist(), strict=True):
                answer["scores"] = dict(zip(self.classes, row, strict=True))
        return found

    def constant(self, labels: npt.NDArray[Any]) -> Floats:
        """Return the scores of the best constant for labels: one, or one per class.

        The share of true, the share of each class, or the median.
        """
        if self.kind == "regression":
            return np.asarray(np.median(labels), dtype=np.float64)
        if self.kind == "binary":
            return np.asarray(labels.mean(), dtype=np.float64)
        columns = self._columns(labels)
        counts = np.bincount(columns[columns >= 0], minlength=len(self.classes))
        return np.asarray(counts / max(len(columns), 1), dtype=np.float64)


def of(kind: Kind, labels: npt.NDArray[Any]) -> Problem:
    """Return the problem that labels to fit are of, shape (rows,)."""
    if kind == "multiclass":
        return Problem(kind=kind, classes=sorted(set(labels.tolist())))
    if kind == "regression":
        scale = float(np.abs(labels - np.median(labels)).mean())
        return Problem(kind=kind, scale=scale or 1.0)  # of one value there is no distance
    return Problem()


def outputs(pipeline: Any, frame: Any, problem: Problem) -> Floats:
    """Return the scores of a fitted pipeline: (rows,), or (rows, classes) for multiclass.

    Raises CandidateError where it has not learnt the classes of the problem.
    """
    if problem.kind == "regression":
        return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(-1)
    if problem.kind == "multiclass":
        learnt = [str(name) for name in pipeline.classes_]
        if learnt != problem.classes or len(learnt) < MIN_CLASSES:
            said = f"it was fitted on {len(learnt)} classes ({', '.join(learnt[:5])})"
            wanted = f"multiclass needs {MIN_CLASSES} or more, and two are a binary problem"
            raise CandidateError(f"{said}: {wanted}")
    return last_or_all(pipeline.predict_proba(frame))


def last_or_all(scores: npt.NDArray[Any]) -> Floats:
    """Return scores of shape (rows, columns) as they are used: the last of one or two, or all."""
    few = scores.shape[1] < MIN_CLASSES
    return np.asarray(scores[:, -1] if few else scores, dtype=np.float64)


def array(kind: Kind, labels: Sequence[Answer]) -> npt.NDArray[Any]:
    """Return labels as an array: of bool, float64, or object for text."""
    return np.array(labels, dtype=object if kind == "multiclass" else KINDS[kind])


def is_label(kind: Kind, label: Answer) -> bool:
    """Say whether a recorded label is one of a kind of problem."""
    return type(label) is {"binary": bool, "multiclass": str, "regression": float}[kind]
