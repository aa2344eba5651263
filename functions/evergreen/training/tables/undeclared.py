"""Text of columns of which nothing says what they hold."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, NoReturn

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
    nulls: ClassVar[Collection[str]] = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise UndeclaredError(
            f"the column {self.column} came as text, for nothing says of which type it is, and "
            "here it is compared, sorted, added up or taken for true: declare it, as in "
            f'Files(columns={{"{self.column}": float}}); a type is float, int, bool, str or '
            "datetime"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __mul__ = __rmul__ = _refuse
    __bool__ = _refuse

    def __eq__(self, other: object) -> bool:
        numbers = (int, float, Decimal, np.number, np.bool_, date, np.datetime64)
        if isinstance(other, numbers) and other == other:
            self._refuse()
        if isinstance(other, str) and str(self) in self.nulls and str(other) not in self.nulls:
            raise UndeclaredError(
                f"the column {self.column} is compared with a text, and holds words of Files.nulls "
                "besides, which are missing only where a type is declared: list them in "
                "Files(text_nulls=...), or declare the column as str where they are texts"
            )
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def _kept(name: str) -> Any:
    """Return a method of str whose result refuses as well."""
    return lambda self, *given, **named: type(self)(getattr(str, name)(self, *given, **named))


for _name in (
    "__getitem__", "center", "ljust", "lower", "lstrip", "removeprefix", "removesuffix", "replace",
    "rjust", "rstrip", "strip", "translate", "upper", "zfill",
):  # fmt: skip
    setattr(Undeclared, _name, _kept(_name))


def undeclared(column: str, nulls: Collection[str]) -> type[str]:
    """Return the class of the cells of a column that nobody has declared.

    nulls: words that stand for a missing value in a column of another type.
    """
    own = {"__slots__": (), "column": column, "nulls": nulls}
    return type("Undeclared", (Undeclared,), own)
