"""Why a source has no documents, in one line: an empty folder, or records of which none could be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from corpus.catalog import Source
from corpus.field_names import first_fields
from corpus.ingest import Files, SourceFile, reading_of
from corpus.lake import Lake, Manifest
from corpus.readers import format_of
from corpus.records import REASONS

Place = tuple[str, int]  # a file's hash and occurrence


def why_no_documents(lake: Lake, name: str, source: Source, files: Files, documents: Manifest) -> str | None:
    """What to tell of a source that gave no document and what to do about it; None where it gave any."""
    if documents.rows("documents"):
        return None
    start = f"source {name!r} has no documents"
    if not files:
        return f"{start}: {source.path!r} holds no files (names that start with a dot are passed over)."
    if documents.summary["sampled_out"]:
        return f"{start} in the sample: none of {documents.summary['sampled_out']:,} falls in it."
    reasons, examples = _rejects(lake, documents)
    if set(reasons) == {"empty_file"}:
        return f"{start}: {source.path!r} holds only empty files ({len(files):,})."
    told = ", ".join(f"{reason} {count:,} ({REASONS[reason]})" for reason, count in reasons.most_common())
    if "missing_text" in examples:
        advice = _missing_text(source, _file(files, examples["missing_text"]))
    else:
        advice = f" `tilth sql` shows them: SELECT * FROM rejects.{_damaged_xml(source, files, examples)}"
    return f"{start}; what was rejected: {told}.{advice}"


def _rejects(lake: Lake, documents: Manifest) -> tuple[Counter[str], dict[str, Place]]:
    """How many rejects there are by reason, and a file of each."""
    reasons: Counter[str] = Counter()
    examples: dict[str, Place] = {}
    for part in documents.parts("rejects"):
        rows = lake.read_part(part, ["file_hash", "occurrence", "reason"])
        found = rows["reason"].to_pylist()
        reasons.update(found)
        for reason in set(found) - set(examples):
            at = found.index(reason)
            examples[reason] = rows["file_hash"][at].as_py(), rows["occurrence"][at].as_py()
    return reasons, examples


def _file(files: Files, place: Place) -> SourceFile:
    return next(file for file in files if (file.hash, file.occurrence) == place)


def _missing_text(source: Source, file: SourceFile) -> str:
    looked, column = f" The text was looked for in {source.text_field!r}", repr(source.text_field)
    fields = first_fields(file.ref, reading_of(source))
    has = f"; {file.ref.name} begins with a record of {fields}" if fields else ""
    if fields.split(", ").count(column) > 1:
        return f"{looked}{has}. Rename one of the columns {column}, or set text_field of this source in the catalog to a name that stands once."
    return f"{looked}{has}. Set text_field of this source in the catalog."


def _damaged_xml(source: Source, files: Files, examples: Mapping[str, Place]) -> str:
    """Of a file without a record its damage is the reason told, whether or not the text field's path is anywhere in it."""
    if "empty_text" in examples:
        return ""
    for file in (_file(files, place) for _, place in sorted(examples.items())):
        if (source.format or format_of(file.ref.path)) == "xml":
            return f" The text was looked for in {source.text_field!r}; if {file.ref.name} has no such element, set text_field of this source in the catalog."
    return ""
