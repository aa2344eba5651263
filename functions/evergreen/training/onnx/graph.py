"""The graph that the converters of a pipeline's steps write."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper
from skl2onnx.common.data_types import guess_proto_type

_LINKS = {  # from the sum of a model to its score
    "IdentityLink": [],
    "LogLink": ["Exp"],
    "LogitLink": ["Sigmoid"],
    "HalfLogitLink": ["Add", "Sigmoid"],  # of the sum and itself
    "MultinomialLogit": ["Softmax"],
}


@dataclass(frozen=True)
class Graph:
    """The nodes that one step of a pipeline becomes; a value of the graph is known by its name."""

    scope: Any
    operator: Any
    container: Any

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output: str = self.scope.get_unique_variable_name(op.lower())
        self.container.add_node(op, list(inputs), output, **attributes)
        return output

    def value(self, value: npt.ArrayLike) -> str:
        """Add a constant and return its name."""
        name: str = self.scope.get_unique_variable_name("value")
        self.container.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def cast(self, name: str, kind: npt.DTypeLike) -> str:
        """Add a cast to float64 or float32 and return the name of its output."""
        to = TensorProto.DOUBLE if kind == np.float64 else TensorProto.FLOAT
        return self.node("Cast", name, to=to)

    def input(self) -> str:
        """Return the name of all inputs of the step, beside each other."""
        names = [variable.full_name for variable in self.operator.inputs]
        return names[0] if len(names) == 1 else self.node("Concat", *names, axis=1)

    def finish(self, total: str, link: str) -> None:
        """Write the outputs of an estimator from what it links, of shape (rows, 1 or classes)."""
        options = self.container.get_options(self.operator.raw_operator, {}, fail=False)
        for op in [] if options.get("raw_scores") else _LINKS[link]:  # calibrators want them raw
            total = self.node(op, *[total] * (2 if op == "Add" else 1))
        score = self.cast(total, np.float64)
        *label, output = (variable.full_name for variable in self.operator.outputs)
        if label:
            if len(self.operator.raw_operator.classes_) <= 2:
                other = self.node("Sub", self.value(np.ones(1)), score)
                score = self.node("Concat", other, score, axis=1)
            self.container.add_node("ArgMax", [score], label, axis=1, keepdims=0)
        declared = guess_proto_type(self.operator.outputs[-1].type)  # float32 in another estimator
        self.container.add_node("Cast", [score], output, to=declared)
