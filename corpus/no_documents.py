"""Why a source has no documents, in one line: an empty folder, or records of which none could be used."""

from __future__ import annotations

from collections import Counter

from corpus.catalog import Source
from corpus.field_names import first_fields
from corpus.ingest import Files, reading_of
from corpus.lake import Lake, Manifest
from corpus.records import REASONS


def why_no_documents(lake: Lake, name: str, source: Source, files: Files, documents: Manifest) -> str | None:
    """What to tell of a source that gave no document and what to do about it; None where it gave any."""
    if documents.rows("documents"):
        return None
    start = f"source {name!r} has no documents"
    if not files:
        return f"{start}: {source.path!r} holds no files (names that start with a dot are passed over)."
    if documents.summary["sampled_out"]:
        return f"{start} in the sample: none of {documents.summary['sampled_out']:,} falls in it."
    reasons, example = _rejects(lake, documents)
    if set(reasons) == {"empty_file"}:
        return f"{start}: {source.path!r} holds only empty files ({len(files):,})."
    told = ", ".join(f"{reason} {count:,} ({REASONS[reason]})" for reason, count in reasons.most_common())
    advice = (
        f"{_missing_text(source, files, example)}"
        if example
        else " `tilth sql` shows them: SELECT * FROM rejects."
    )
    return f"{start}; what was rejected: {told}.{advice}"


def _rejects(lake: Lake, documents: Manifest) -> tuple[Counter[str], tuple[str, int] | None]:
    """How many rejects there are by reason, and a file (hash, occurrence) in which there was no text field."""
    reasons: Counter[str] = Counter()
    example = None
    for part in documents.parts("rejects"):
        rows = lake.read_part(part, ["file_hash", "occurrence", "reason"])
        found = rows["reason"].to_pylist()
        reasons.update(found)
        if example is None and "missing_text" in found:
            at = found.index("missing_text")
            example = rows["file_hash"][at].as_py(), rows["occurrence"][at].as_py()
    return reasons, example


def _missing_text(source: Source, files: Files, example: tuple[str, int]) -> str:
    file = next(file for file in files if (file.hash, file.occurrence) == example)
    looked = f" The text was looked for in {source.text_field!r}"
    fields = first_fields(file.ref, reading_of(source))
    has = f"; {file.ref.name} begins with a record of {fields}" if fields else ""
    return f"{looked}{has}. Set text_field of this source in the catalog."
