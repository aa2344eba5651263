"""Text of columns of which nothing says what they hold."""

from datetime import date
from decimal import Decimal
from typing import ClassVar, NoReturn

import numpy as np


class UndeclaredError(Exception):
    """A column was reckoned with whose type nobody has stated: no TypeError, which pandas hides."""


class Undeclared(str):
    """A cell of a column whose type nobody has stated: text that refuses to be reckoned with.

    As text "1" is not 1, "10" sorts before "9", and "1" + "2" is "12": where that is meant, the
    column is declared as str.
    """

    __slots__ = ()
    column: ClassVar[str] = ""

    def _refuse(self, *_: object) -> NoReturn:
        raise UndeclaredError(
            f"the column {self.column} came as text, for nothing says of which type it is, and "
            "here it is compared, sorted or added up: declare it, as in "
            f'Files(columns={{"{self.column}": float}}); a type is float, int, bool, str or '
            "datetime"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __mul__ = __rmul__ = _refuse

    def __eq__(self, other: object) -> bool:
        numbers = (int, float, Decimal, np.number, np.bool_, date, np.datetime64)
        if isinstance(other, numbers) and other == other:
            self._refuse()
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def undeclared(column: str) -> type[str]:
    """Return the class of the cells of a column that nobody has declared."""
    return type("Undeclared", (Undeclared,), {"__slots__": (), "column": column})
