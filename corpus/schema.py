"""The Arrow schema of every dataset in the lake, in one place.

Public datasets are SQL views of the same name; a measurer's dataset holds the parts of one operator, row for row with
`documents`. Columns that later features fill are here already, null until then, so that old parts stay readable.
"""

from __future__ import annotations

import pyarrow as pa

TEXT = pa.large_string()
ID = pa.string()
# Spans are half-open UTF-8 byte offsets into the unedited text.
PII_SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("type", pa.string())])
CUT_SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("reason", pa.string())])
FAILURE = pa.struct(
    [("rule", pa.string()), ("signal", pa.string()), ("value", pa.string()), ("threshold", pa.string())]
)
SIGNATURE = pa.list_(pa.uint32())  # num_perm values, all rows of one length
UTC = pa.int64()  # microseconds since 1970; names end in _utc

OWN_FIELDS = ("own_id", "url", "metadata")  # of a document, beside its text, that may hold personal data
PII_TYPES = ("email", "ip", "phone", "card", "iban", "ssn", "aadhaar", "pan")


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


def _named(kind: pa.DataType, *names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, kind)


_F, _I = pa.float64(), pa.int64()

DOCUMENTS = _schema(
    doc_id=ID, source=ID, file_hash=ID, occurrence=pa.int32(), record=_I, text=TEXT, content_hash=ID, num_bytes=_I,
    own_id=pa.string(), url=pa.string(), date=pa.timestamp("us"), metadata=pa.string(),  # JSON object of the record's other fields
)  # fmt: skip
REJECTS = _schema(
    source=ID, file_hash=ID, occurrence=pa.int32(), position=_I, reason=pa.string()
)  # position −1: the whole file

# ── what is measured: one dataset per operator, the first column always doc_id ──────────────────────────────────────

HEURISTICS_SIGNALS = _named(_I, "num_chars", "num_words", "num_lines", "num_stop_words") | _named(
    _F, "mean_word_length", "hash_ratio", "ellipsis_ratio", "bullet_line_ratio", "ellipsis_line_ratio", "alpha_word_ratio",
    "line_punct_ratio", "short_line_ratio", "char_dup_ratio", "list_ratio",
)  # fmt: skip
REPETITION_SIGNALS = _named(
    _F, "dup_paragraph_ratio", "dup_paragraph_char_ratio", "dup_line_ratio", "dup_line_char_ratio",
    *(f"top_{n}_gram_char_ratio" for n in (2, 3, 4)), *(f"dup_{n}_gram_char_ratio" for n in range(5, 11)),
)  # fmt: skip
LANGUAGE_SIGNALS = {"language": pa.string(), "language_score": _F}
C4_SIGNALS = _named(
    _I, "num_lorem_ipsum_after_cuts", "num_curly_brackets_after_cuts", "num_sentences_after_cuts"
) | {"cut_byte_ratio": _F}
PII_SIGNALS = _named(_I, *(f"num_pii_{kind}" for kind in PII_TYPES))
TOKENS_SIGNALS = {"num_tokens": _I}
HELD_OUT_SIGNALS = {"held_out_jaccard": _F, "held_out_containment": _F, "held_out_partner": ID}

OPERATORS: dict[str, pa.Schema] = {
    "heuristics": _schema(doc_id=ID, **HEURISTICS_SIGNALS),
    "repetition": _schema(doc_id=ID, **REPETITION_SIGNALS),
    "language": _schema(doc_id=ID, **LANGUAGE_SIGNALS),
    "c4_lines": _schema(doc_id=ID, **C4_SIGNALS, cuts=pa.list_(CUT_SPAN)),
    "pii": _schema(  # masked, every type of it, only where there is any
        doc_id=ID,
        **PII_SIGNALS,
        spans=pa.list_(PII_SPAN),
        masked_text=TEXT,
        **_named(pa.string(), *(f"masked_{name}" for name in OWN_FIELDS)),
    ),
    "minhash": _schema(doc_id=ID, num_shingles=_I, signature=SIGNATURE),
    "tokens": _schema(doc_id=ID, **TOKENS_SIGNALS),
    "edited": _schema(doc_id=ID, edited_hash=ID),  # of the edited text; null where nothing is edited
    "held_out_overlap": _schema(doc_id=ID, **HELD_OUT_SIGNALS),
}

MEASURED_SIGNALS: dict[str, pa.DataType] = (
    {"num_bytes": _I}
    | HEURISTICS_SIGNALS
    | REPETITION_SIGNALS
    | LANGUAGE_SIGNALS
    | C4_SIGNALS
    | PII_SIGNALS
    | TOKENS_SIGNALS
    | HELD_OUT_SIGNALS
)
RESERVED_SIGNALS = _named(
    _F, "perplexity", "quality_score", "toxicity_score", "contamination_overlap"
)  # filled by later features

# ── public datasets ─────────────────────────────────────────────────────────────────────────────────────────────────

_RUN_KEYS = {"run_id": ID, "attempt": _I, "sequence": _I, "step": _I}

DATASETS: dict[str, pa.Schema] = {
    "sources": _schema(
        source=ID, documents_id=ID, role=pa.string(), topic=pa.string(), license=pa.string(), language=pa.list_(pa.string()), format=pa.string(),
        num_files=_I, num_documents=_I, num_rejects=_I, num_bytes=_I,
    ),
    "documents": DOCUMENTS,
    "rejects": REJECTS,
    "signals": pa.schema([
        *_schema(snapshot_id=ID, doc_id=ID, source=ID, role=pa.string(), topic=pa.string(), content_hash=ID),
        *_schema(**MEASURED_SIGNALS), *_schema(**RESERVED_SIGNALS),
    ]),
    "decisions": _schema(
        snapshot_id=ID, doc_id=ID, source=ID, kept=pa.bool_(), drop_reason=pa.string(), failures=pa.list_(FAILURE),
        partner=ID, partner_jaccard=_F, partner_containment=_F, cluster=ID, num_bytes=_I, num_tokens=_I, num_masked=_I, num_cut_bytes=_I,
    ),
    "near_duplicates": _schema(doc_a=ID, doc_b=ID, content_a=ID, content_b=ID, jaccard=_F, containment=_F, num_bands=_I),
    "pii_spans": _schema(snapshot_id=ID, doc_id=ID, source=ID, start=_I, end=_I, type=pa.string(), action=pa.string()),
    "contamination": _schema(doc_id=ID, task=pa.string(), item=ID, overlap=_F, start=_I, end=_I),
    "held_out": _schema(holdout_id=ID, doc_id=ID, source=ID, role=pa.string(), topic=pa.string(), content_hash=ID, cluster=ID, text=TEXT, num_bytes=_I),
    "snapshots": _schema(
        snapshot_id=ID, source=ID, num_documents=_I, num_kept=_I, num_dropped=_I, num_rejects=_I, num_bytes=_I, num_bytes_kept=_I,
        num_tokens=_I, num_tokens_kept=_I, holdout_id=ID, sample=_F,
    ),
    "token_shards": _schema(
        token_shards_id=ID, part=ID, source=ID, ordinal=_I, doc_id=ID, token_start=_I, num_tokens=_I,
    ),
    "mixtures": _schema(
        mixture_id=ID, phase=_I, source=ID, role=pa.string(), weight=_F, tokens=_I, epochs=_F, available_tokens=_I,
        natural_weight=_F, uniform_weight=_F, unimax_weight=_F,
    ),
    "runs": _schema(
        run_id=ID, name=pa.string(), recipe=pa.string(), mixture_id=ID, snapshot_id=ID, tokenizer_id=ID, base=pa.string(), engine=pa.string(),
        precision=pa.string(), num_parameters=_I, max_steps=_I, sequence_length=_I, global_batch_sequences=_I, status=pa.string(), last_step=_I,
    ),
    "metrics": _schema(**_RUN_KEYS, name=pa.string(), source=pa.string(), value=_F, tokens=_I, time_utc=UTC),
    "events": _schema(**_RUN_KEYS, kind=pa.string(), source=pa.string(), metric=pa.string(), value=_F, threshold=_F, action=pa.string(), message=pa.string(), time_utc=UTC, snapshot_id=ID),
    "checkpoints": _schema(
        checkpoint_id=ID, run_id=ID, step=_I, tokens=_I, milestone=pa.bool_(), exists=pa.bool_(), weights_sha256=pa.string(), committed_utc=UTC,
    ),
    "scorecards": _schema(
        scorecard_id=ID, checkpoint_id=ID, run_id=ID, step=_I, task=pa.string(), role=pa.string(), metric=pa.string(), value=_F, standard_error=_F,
        num_items=_I, task_hash=ID, weights_sha256=pa.string(), tokenizer_id=ID, snapshot_id=ID, mixture_id=ID,
    ),
    "scores": _schema(
        scorecard_id=ID, task=pa.string(), item=ID, cluster=ID, source=pa.string(), role=pa.string(), metric=pa.string(), value=_F, nll=_F, bytes=_I, tokens=_I,
        prediction=pa.string(), target=pa.string(),
    ),
    "audits": _schema(audit_id=ID, snapshot_id=ID, doc_id=ID, rule=pa.string(), label=pa.string(), reviewer=pa.string(), time_utc=UTC),
    "signoffs": _schema(signoff_id=ID, recipe=pa.string(), reference=pa.string(), checkpoint_id=ID, scorecard_id=ID, verdict=pa.string(), against_champion=pa.string(), reviewer=pa.string(), note=pa.string(), time_utc=UTC),
    "names": _schema(name=pa.string(), version=_I, fingerprint=ID, kind=pa.string(), id=ID, alias=pa.string(), time_utc=UTC),
    "files": _schema(source=ID, file=pa.string(), file_hash=ID, occurrence=pa.int32(), bytes=_I),
    "erased": _schema(doc_id=ID, content_hash=ID, reason=pa.string(), time_utc=UTC),
}  # fmt: skip


def schema_of(dataset: str) -> pa.Schema:
    """The schema of a public dataset or of a measurer's parts; KeyError names what exists."""
    found = DATASETS.get(dataset) or OPERATORS.get(dataset)
    if found is None:
        raise KeyError(f"no dataset {dataset!r}; there are {', '.join(sorted(DATASETS | OPERATORS))}")
    return found
