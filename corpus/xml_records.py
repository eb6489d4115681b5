"""Elements in document order → records: which element is one, which of its parts are fields, and which are left out."""

from __future__ import annotations

from collections.abc import Callable
from html.entities import html5
from typing import Any

from corpus.records import Item, Reading, RecordMaker, Reject
from corpus.xml_paths import XmlPath, parse_path
from corpus.xml_text import TextJoiner, kinds_of

MAX_DEPTH = 1000
# Noncharacters that XML admits: they stand for what was replaced, and reject the record that they are in.
NOT_TEXT, CONTROL = "\ufdd0", "\ufdd1"


class Refused(Exception):
    """The document is not read on; `reason` is the reject's."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class RecordCollector:
    """Takes expat's events; finished records wait in `ready`. Nested matches belong to the outermost one."""

    def __init__(self, reading: Reading, where: Callable[[], int]):
        """`where` says at which byte of its document the element that begins now stands."""
        self._where = where
        self._path, self._maker, self._max_bytes = (
            parse_path(reading.text_field),
            RecordMaker(reading),
            reading.max_record_bytes,
        )
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
        self.begin_document(())

    def begin_document(self, above: tuple[str, ...]) -> None:
        """A document begins, or a piece of one whose elements above are taken to be `above`."""
        self._names, self._attributes = list(above), [dict[str, str]() for _ in above]
        self._depth = 0  # of the record's element; 0 outside of records
        self.began = 0  # the byte where the record's element stands in its document
        self.met_element = False
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

    def reject(self, reason: str) -> None:
        """The record at hand, or the next one, cannot be read."""
        self.ready.append(Reject(self.count, reason))
        self.count += 1

    # ── events ──

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._ignored:
            self._ignored += 1
            return
        name = tag.rpartition(":")[2] if ":" in tag else tag
        names, joiner = self._names, self._joiner
        names.append(name)
        self._attributes.append(attributes)
        self.met_element = True
        if len(names) > MAX_DEPTH:
            raise Refused("nested_too_deep")
        if joiner is not None:
            if (name in self._watched or self._watches_all) and any(map(self._matches, self._excluded)):
                joiner = self._leave_out(joiner)
            if joiner is not None:
                joiner.begin(name, attributes.get("xml:space"))
        elif not self._depth and self._path.last in (name, "*", "") and self._path.matches(names, attributes):
            self._begin_record(name, attributes)

    def text(self, data: str) -> None:
        joiner = self._joiner
        if joiner is not None:
            joiner.add(data)
            if joiner.size > self._max_bytes:
                self._joiner = None

    def skipped_entity(self, name: str, is_parameter: bool) -> None:
        """An entity that the document does not declare: HTML's names are known, others stay as they are written.

        Where the declarations were refused, others are refused too.
        """
        if is_parameter:
            return
        if self.entities_refused and f"{name};" not in html5:
            raise Refused("xml_entity")
        self.text(html5.get(f"{name};", f"&{name};"))

    def end(self, _tag: str) -> None:
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
        self._attributes.pop()

    # ── records ──

    def _begin_record(self, name: str, attributes: dict[str, str]) -> None:
        self._depth, self.began = len(self._names), self._where()
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
        if NOT_TEXT in text:
            return Reject(self.count, "invalid_utf8")
        if CONTROL in text:
            return Reject(self.count, "invalid_xml")
        return self._maker.from_text(self.count, text, self._found)
