"""The machinery of Evergreen, in ten wings; handlers call it, and it never imports endpoints/.

What a file in endpoints/ needs stands here:

    from evergreen import Endpoint, External, Policy, Rule, When

Each name is imported at its first use, so that predict, which uses none, starts without them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evergreen.contract.endpoint import Endpoint, Policy
    from evergreen.contract.files import Files
    from evergreen.contract.rule import Rule, When
    from evergreen.serving.external import External

__all__ = ["Endpoint", "External", "Files", "Policy", "Rule", "When"]

_MODULES = {
    "Endpoint": "contract.endpoint", "External": "serving.external", "Files": "contract.files",
    "Policy": "contract.endpoint", "Rule": "contract.rule", "When": "contract.rule",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
