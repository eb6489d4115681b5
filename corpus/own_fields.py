"""A document's own fields as they are shown: id, URL and metadata with personal data masked, or nothing where it was not looked for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.lake import Lake
from corpus.part import Part
from corpus.schema import OWN_FIELDS

SINCE = 3  # the first version of the pii operator that looks through own fields
MASKED_FIELDS = {name: f"masked_{name}" for name in OWN_FIELDS}


def shown_fields(
    lake: Lake, documents: Part, pii: Part | None, rows: Sequence[int], names: Sequence[str] = OWN_FIELDS
) -> list[dict[str, str | None]]:
    """These fields of these rows of a documents part; `pii` is the part that was measured of it."""
    if pii is None or MASKED_FIELDS["own_id"] not in pq.read_schema(lake.path_of(pii)).names:
        return [dict.fromkeys(names) for _ in rows]
    wanted = pa.array(rows, pa.int64())  # without the type, no rows are an array of nulls
    raw = lake.read_part(documents, list(names)).take(wanted)
    masked = lake.read_part(pii, [MASKED_FIELDS[name] for name in names]).take(wanted)
    for at, name in enumerate(names):
        raw = raw.set_column(at, name, pc.coalesce(masked[MASKED_FIELDS[name]], raw[name]))
    return [dict(row) for row in raw.to_pylist()]
