"""A page as its reader sees it, and what somebody hostile would write into it."""

from html.parser import HTMLParser
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

HOSTILE = "</svg></style><script>a(1)</script> \"' onload=' & $x$ ${css} {{ 7 * 7 }} \x00\u202e飛"
SHOWN = HOSTILE.replace("\x00", " ").replace("\u202e", " ")


class Seen(HTMLParser):
    """The text of a page, the tags that were opened and not closed, all tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.open = "", list[str]()
        self.tags, self.attributes = set[str](), set[tuple[str, str]]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in {"meta", "html", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "html":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def poisoned(found: Any, *kept: str, hint: Any = Any) -> Any:
    """Return the same with something hostile at the end of each text, and of each key.

    kept: fields and keys whose texts the code knows, as it does those of a Literal (see `hint`).
    """
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if isinstance(found, str):
        return found if get_origin(hint) is Literal else found + HOSTILE
    if isinstance(found, msgspec.Struct):
        hints = get_type_hints(type(found))
        fields = {
            name: getattr(found, name) for name in found.__struct_fields__ if name not in kept
        }
        changed = {name: poisoned(one, *kept, hint=hints[name]) for name, one in fields.items()}
        return msgspec.structs.replace(found, **changed)
    if isinstance(found, dict):
        of_keys, of_values = get_args(hint) or (Any, Any)
        return {
            poisoned(key, hint=of_keys): poisoned(one, *kept, hint=of_values)
            if key not in kept
            else one
            for key, one in found.items()
        }
    if isinstance(found, list | tuple):
        (of_items, *_) = get_args(hint) or (Any,)
        return type(found)(poisoned(one, *kept, hint=of_items) for one in found)
    return found
