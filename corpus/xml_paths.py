"""The paths of elements that a source's section may name: a small part of XPath that can be decided while reading.

`a/b`, `.//a` and `//a` match at any depth, `/a/b` from the root, `.` is the root, `*` any element, `[@k]` and `[@k='v']` a
condition on the last element. `@k`, alone or after a path, is an attribute. Namespaces and their prefixes are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_NAME = r"(?:[\w.-]+:)?(?P<{0}>[\w.-]+|\*)"
_STEP = re.compile(
    _NAME.format("name") + r"(?:\[@(?P<key>[\w.:-]+)(?:=(?P<quote>['\"])(?P<value>[^'\"]*)(?P=quote))?\])?"
)
_ATTRIBUTE = re.compile(r"(?:(?P<path>.*)/)?@(?P<key>[\w.:-]+)")


@dataclass(frozen=True)
class XmlPath:
    """A parsed path. `last` is the local name that the last element must have (`*`: any, "": the root), `above` those before."""

    last: str
    pattern: re.Pattern[str] | None
    above: tuple[str, ...] = ()
    key: str | None = None
    value: str | None = None
    attribute: str | None = None

    def matches(self, names: Sequence[str], attributes: Mapping[str, str]) -> bool:
        """Whether the element with these local names, from the root down to itself, and these attributes is meant."""
        if self.pattern is None:
            return len(names) == 1
        if self.key is not None and (
            self.key not in attributes or self.value not in (None, attributes[self.key])
        ):
            return False
        return self.pattern.fullmatch("/".join(names)) is not None


@lru_cache(maxsize=256)
def parse_path(text: str) -> XmlPath:
    """The path as it can be matched; ValueError says what is not understood.

    >>> parse_path(".//div/section[@type='law']").matches(["doc", "div", "section"], {"type": "law"})
    True
    """
    attribute = _ATTRIBUTE.fullmatch(text)
    path = (attribute["path"] or ".") if attribute else text
    key = attribute["key"] if attribute else None
    if path == ".":
        return XmlPath("", None, attribute=key)
    rooted = re.match(r"/(?!/)", path) is not None
    steps = re.sub(r"^\.?//?", "", path)
    *above, last = re.split(r"(//?)", steps)
    step, names = _STEP.fullmatch(last), [_STEP.fullmatch(name) for name in above[::2]]
    if step is None or not all(name and not name["key"] for name in names):
        raise ValueError(
            f"{text!r} is not a path that is understood; write one such as .//section, book/chapter, .//note[@type='editor'] or @id"
        )
    joined = "".join(
        _element(name["name"]) + _BETWEEN[slash]
        for name, slash in zip(names, above[1::2], strict=True)
        if name
    )
    pattern = re.compile(("" if rooted else "(?:.*/)?") + joined + _element(step["name"]))
    return XmlPath(
        step["name"], pattern, tuple(name["name"] for name in names if name), step["key"], step["value"], key
    )


_BETWEEN = {"/": "/", "//": "/(?:.*/)?"}


def _element(name: str) -> str:
    return "[^/]+" if name == "*" else re.escape(name)
