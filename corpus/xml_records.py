"""Elements in document order → records: which element is one, which of its parts are fields, and which are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html.entities import html5
from typing import Any

from corpus.records import Item, Reading, RecordMaker, Reject
from corpus.xml_paths import XmlPath, parse_path
from corpus.xml_text import TextJoiner, kinds_of

MAX_DEPTH = 1000
_MIN_ATTRIBUTES = (
    2 << 20
)  # characters that the attributes of open elements may have, however short a record must be
# Noncharacters that XML admits: they stand for what was replaced, and reject the record that they are in.
NOT_TEXT, CONTROL = "\ufdd0", "\ufdd1"


class Refused(Exception):
    """The document is not read on from a place (0: from after what is refused); `reason` is the reject's (None: no error)."""

    def __init__(self, reason: str | None, place: int = 0):
        super().__init__(reason)
        self.reason, self.place = reason, place


class Overgrown(Exception):
    """The record at hand holds others for longer than it may, so it seems to lack its end."""


@dataclass(slots=True)
class Level:
    """An open element that is a record or, inside of one, would be if that one lacked its end. Places are in bytes."""

    depth: int
    began: int
    first: int = 0  # where the first of those that ended directly in it began
    last: int = 0  # and the last (0: there is none), and where its end was told
    last_end: int = 0


class RecordCollector:
    """Takes expat's events; finished records wait in `ready`. Nested matches belong to the outermost one."""

    def __init__(self, reading: Reading, where: Callable[[], int], max_reach: int):
        """`where` says at which byte of its document an event stands; `max_reach` how long a record may be that holds others."""
        self._where, self._max_reach = where, max_reach
        self._path, self._maker = parse_path(reading.text_field), RecordMaker(reading)
        self.max_bytes = reading.max_record_bytes
        self._max_attributes = max(self.max_bytes, _MIN_ATTRIBUTES)
        self._kinds, self._all_attributes = kinds_of(tuple(reading.inline)), reading.metadata == "all"
        self._excluded = [parse_path(path) for path in reading.exclude]
        wanted = [reading.id_field, reading.url_field, reading.date_field, *reading.metadata_fields]
        paths = {name: parse_path(name) for name in wanted if name}
        self._attribute_fields = {name: path for name, path in paths.items() if path.pattern is None}
        self._element_fields = {name: path for name, path in paths.items() if path.pattern is not None}
        self._watched = {path.last for path in [*self._excluded, *self._element_fields.values()]}
        self._watches_all = "*" in self._watched
        self.ready: list[Item] = []
        self.count = 0
        self.entities_refused = False
        self.no_section_ends = False  # no CDATA section that begins from here on
        self.begin_document(())

    def begin_document(self, above: tuple[str, ...]) -> None:
        """A document begins, or a piece of one whose elements above are taken to be `above`."""
        self._names, self._attributes = list(above), [dict[str, str]() for _ in above]
        self._level = self._top = len(above)  # how deep the innermost element lies
        self._attributes_size = 0
        self._depth = 0  # of the record's element; 0 outside of records
        self.open: list[Level] = []
        self.section = 0  # where the CDATA section at hand begins; 0 outside of sections
        self.met_element = False
        self.behind_damage = False
        self.hid = 0  # where the last comment stands, or the end of the last CDATA section
        self.read_again = False  # what was passed over: where it is once more, then anywhere before a place
        self.anywhere_before = 0
        self._outside: tuple[list[str], list[dict[str, str]], int] | None = None  # of a record found so
        self.forget_passed_over()
        self._joiner: TextJoiner | None = (
            None  # None outside of records, in what is ignored, and in a record too long
        )
        self._aside: list[
            tuple[int, TextJoiner]
        ] = []  # while a part is left out: its depth, and what goes on after it
        self._ignored = 0  # open elements of a part that is left out and holds no field
        self._found: dict[str, Any] = {}

    @property
    def in_record(self) -> bool:
        return self._depth > 0

    @property
    def in_doubt(self) -> bool:
        """Between records behind damage, where a section or an instruction that holds a tag may lack its end, and hide records."""
        return self.behind_damage and not self._depth

    @property
    def in_element(self) -> bool:
        return self._level > self._top

    @property
    def began(self) -> int:
        """The byte where the record at hand begins in its document."""
        return self.open[0].began

    @property
    def holds_others(self) -> bool:
        return len(self.open) > 1 or self.open[0].last > 0

    def forget_passed_over(self) -> None:
        # Where the first element stands that would be a record if fewer stood above it; the innermost and the outermost of
        # the elements that are too many, as levels. All are 0 where there is none, or where the innermost has ended.
        self.passed_over = self._innermost = self._outermost = 0

    def meet_end_of(self, name: str) -> None:
        """An end tag fits another element than the innermost: what is passed over in that one, too, is none of its records."""
        names = self._names
        level = next((level for level in range(len(names), 0, -1) if names[level - 1] == name), 0)
        if level >= self._outermost:
            self.forget_passed_over()

    def reject(self, reason: str) -> None:
        """The record at hand, or the next one, cannot be read."""
        self.ready.append(Reject(self.count, reason))
        self.count += 1

    # ── events ──

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2] if ":" in tag else tag
        self._level += 1
        if self._level > MAX_DEPTH:
            raise Refused("nested_too_deep", self._where())
        if (
            self._depth
            and name == self._path.last
            and self._path.matches((*self._path.above, name), attributes)
        ):
            self.open.append(Level(self._level, self._where()))
        if self._ignored:
            self._ignored += 1
            return
        names, joiner = self._names, self._joiner
        names.append(name)
        self._attributes.append(attributes)
        if attributes:
            self._count_attributes(attributes)
        self.met_element = True
        if joiner is not None:
            if (name in self._watched or self._watches_all) and any(map(self._matches, self._excluded)):
                joiner = self._leave_out(joiner)
            if joiner is not None:
                joiner.begin(name, attributes.get("xml:space"))
                if joiner.size > self.max_bytes:
                    self._joiner = None
        elif not self._depth and self._path.last in (name, "*", ""):
            if self._path.matches(names, attributes):
                self._begin_record(name, attributes)
            elif name == self._path.last and not self.passed_over:
                self._pass_over(name, attributes)

    def _pass_over(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element that is no record, if that is only because more elements stand above it than the path says."""
        names, above = self._names, self._path.above
        level, too_many = len(names) - 1, []  # from the innermost element above on
        for step in reversed(above):
            while level and step not in ("*", names[level - 1]):
                too_many.append(level)
                level -= 1
            if not level:
                return
            level -= 1
        too_many = too_many or [level]
        is_meant = self._path.key is None or self._path.matches((*above, name), attributes)
        if not (above and too_many[0] and is_meant):
            return
        if self._where() < self.anywhere_before:
            self._outside = self._names, self._attributes, self._level
            self._names, self._attributes = [*above, name], [*({} for _ in above), attributes]
            self._level = len(self._names)
            self._begin_record(name, attributes)
        else:
            self.passed_over, self._innermost, self._outermost = self._where(), too_many[0], too_many[-1]

    def _count_attributes(self, attributes: dict[str, str]) -> None:
        self._attributes_size += _size(attributes)
        if self._attributes_size > self._max_attributes:
            raise Refused("record_too_long", self._where())

    def text(self, data: str) -> None:
        joiner = self._joiner
        if joiner is not None:
            joiner.add(data)
            if joiner.size > self.max_bytes:
                self._joiner = None
        elif self.section and self.in_doubt and "<" in data:
            raise Refused(None, self.section)

    def skipped_entity(self, name: str, is_parameter: bool) -> None:
        """An entity that the document does not declare: HTML's names are known, others stay as they are written.

        Where the declarations were refused, others are refused too.
        """
        if is_parameter:
            return
        if self.entities_refused and f"{name};" not in html5:
            raise Refused("xml_entity")
        self.text(html5.get(f"{name};", f"&{name};"))

    def comment(self, _data: str) -> None:
        self.hid = self._where()

    def instruction(self, _target: str, data: str) -> None:
        if self.in_doubt and "<" in data:
            raise Refused(None, self._where())

    def start_section(self) -> None:
        if self.no_section_ends:
            raise Refused("truncated_file", self._where())
        self.section = self._where()

    def end_section(self) -> None:
        self.section, self.hid = 0, self._where()

    def end(self, _tag: str) -> None:
        if self.open and self.open[-1].depth == self._level:
            self._end_level()
        self._level -= 1
        if self._level < self._innermost:
            self.forget_passed_over()
        if self._ignored:
            self._ignored -= 1
            if self._ignored:
                return
        elif self._joiner is not None:
            start = self._joiner.end()
            if self._names[-1] in self._watched or self._watches_all:
                self._find_fields(self._joiner, start)
        depth = len(self._names)
        if self._aside and self._aside[-1][0] == depth:
            self._joiner = self._aside.pop()[1]
        if depth == self._depth:
            self._end_record()
        self._names.pop()
        if attributes := self._attributes.pop():
            self._attributes_size -= _size(attributes)
        if self._outside and not self._depth:
            (self._names, self._attributes, level), self._outside = self._outside, None
            self._level = level - 1
            self._names.pop()
            self._attributes.pop()

    def _end_level(self) -> None:
        place, inner = self._where(), self.open[-1]
        if place - self.began > self._max_reach and self.holds_others:
            raise Overgrown
        self.open.pop()
        if self.open:
            above = self.open[-1]
            above.first, above.last, above.last_end = above.first or inner.began, inner.began, place

    # ── records ──

    def _begin_record(self, name: str, attributes: dict[str, str]) -> None:
        self.forget_passed_over()  # or this record would be read twice
        self._depth, self.open = self._level, [Level(self._level, self._where())]
        self._joiner = TextJoiner(self._kinds)
        self._joiner.begin(name, attributes.get("xml:space"))
        if self._all_attributes:
            self._found = {
                key.rpartition(":")[2]: value
                for key, value in attributes.items()
                if not key.startswith(("xmlns", "xml:"))
            }
        for field, path in self._attribute_fields.items():
            holders = (
                found[path.attribute] for found in reversed(self._attributes) if path.attribute in found
            )
            if (value := next(holders, None)) is not None:
                self._found[field] = value
        self._joiner.size += _size(self._found)
        if self._joiner.size > self.max_bytes:
            self._joiner = None

    def _leave_out(self, joiner: TextJoiner) -> TextJoiner | None:
        """An excluded element begins: its text goes to a joiner of its own, or to none where no field can be in it."""
        joiner.end_run()
        self._aside.append((len(self._names), joiner))
        self._joiner = TextJoiner(self._kinds) if self._element_fields.keys() - self._found.keys() else None
        self._ignored = 0 if self._joiner else 1
        return self._joiner

    def _find_fields(self, joiner: TextJoiner, start: int) -> None:
        """The element that has just ended may be a field; of several, the first is."""
        for field, path in self._element_fields.items():
            if field not in self._found and self._matches(path):
                value = (
                    joiner.text(start) if path.attribute is None else self._attributes[-1].get(path.attribute)
                )
                if value:
                    self._found[field] = value

    def _matches(self, path: XmlPath) -> bool:
        return len(self._names) > self._depth and path.matches(self._names, self._attributes[-1])

    def _end_record(self) -> None:
        self.ready.append(self._record())
        self.count += 1
        self._depth, self._joiner, self._found = 0, None, {}

    def _record(self) -> Item:
        if self._joiner is None:
            return Reject(self.count, "record_too_long")
        text = self._joiner.text()
        for mark, reason in ((NOT_TEXT, "invalid_utf8"), (CONTROL, "invalid_xml")):
            if mark in text or any(mark in value for value in self._found.values()):
                return Reject(self.count, reason)
        return self._maker.from_text(self.count, text, self._found)


def _size(attributes: dict[str, str]) -> int:
    return sum(map(len, attributes.values()))
