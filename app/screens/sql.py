"""SQL: one guarded query over the lake's datasets, with examples, the columns of every dataset, and the rows as CSV."""

from __future__ import annotations

import io
import time
from typing import Any

import streamlit as st

from app.questions import write_rows
from app.screens import frame
from corpus.console import run_query_in_process
from corpus.errors import TilthError
from corpus.lake import Lake
from corpus.names import Claim
from corpus.schema import DATASETS
from corpus.views import view_schema

EXAMPLES = {
    "What was dropped, by source and reason": """\
SELECT source, drop_reason, count(*) AS documents, sum(num_tokens) AS tokens
FROM decisions
WHERE NOT kept
GROUP BY ALL
ORDER BY documents DESC""",
    "Longest documents that were kept": """\
SELECT d.source, d.own_id, s.num_words, left(d.text, 200) AS beginning
FROM documents d JOIN signals s USING (doc_id) JOIN decisions e USING (doc_id)
WHERE e.kept
ORDER BY s.num_words DESC
LIMIT 20""",
    "Near-duplicates by Jaccard": """\
SELECT round(jaccard, 1) AS jaccard, count(*) AS pairs, avg(containment) AS mean_containment
FROM near_duplicates
GROUP BY ALL
ORDER BY jaccard DESC""",
    "Personal data by type": """\
SELECT source, type, action, count(*) AS spans, count(DISTINCT doc_id) AS documents
FROM pii_spans
GROUP BY ALL
ORDER BY spans DESC""",
    "Loss by run and source, first and last": """\
SELECT r.name AS run, m.source, arg_min(m.value, m.step) AS first, arg_max(m.value, m.step) AS last
FROM metrics m JOIN runs r USING (run_id)
WHERE m.name = 'loss'
GROUP BY ALL
ORDER BY ALL""",
    "Scores of every checkpoint": """\
SELECT r.name AS run, s.step, s.task, s.role, s.metric, s.value, s.standard_error, s.num_items
FROM scorecards s LEFT JOIN runs r USING (run_id)
ORDER BY s.task, s.role, s.metric, s.value""",
    "Tokens of each source by epoch limit": """\
SELECT m.source, m.weight, m.tokens, m.epochs, m.available_tokens
FROM mixtures m
ORDER BY m.epochs DESC""",
}
LIMITS = [100, 1_000, 10_000]


def show(lake: Lake, owner: Claim) -> None:
    left, right = st.columns([5, 2], gap="large")
    with right:
        schema_browser()
    with left:
        st.session_state.setdefault("q", next(iter(EXAMPLES.values())))
        example = st.selectbox("Example", list(EXAMPLES), index=None, placeholder="Start from an example …", key="example")  # fmt: skip
        if example and st.session_state.get("example_taken") != example:
            st.session_state["q"] = EXAMPLES[example]
        st.session_state["example_taken"] = example
        with st.form("query", border=False):
            query = st.text_area("One query", key="q", height=220, placeholder="SELECT source, count(*) FROM documents GROUP BY ALL")  # fmt: skip
            with st.container(horizontal=True, vertical_alignment="bottom"):
                asked = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", shortcut="ctrl+enter")  # fmt: skip
                limit = st.selectbox("Rows at most", LIMITS, index=1, format_func=lambda rows: f"{rows:,}", key="limit", width=160)  # fmt: skip
        if asked:
            st.session_state["answer"] = answer(lake, query or "", int(limit or LIMITS[1]))
        if found := st.session_state.get("answer"):
            result(found)


# ── the answer ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(lake: Lake, query: str, limit: int) -> dict[str, Any]:
    """The rows, or the error as text; a query can do nothing else (`corpus.sql`)."""
    started = time.monotonic()
    try:
        with st.spinner("Running …"):
            found = run_query_in_process(lake.root, query, limit=limit)
    except TilthError as error:
        return {"query": query, "error": str(error)}
    return {
        "query": query,
        "table": found.table,
        "cut": found.cut,
        "shortened": found.shortened,
        "seconds": time.monotonic() - started,
    }


def result(found: dict[str, Any]) -> None:
    if "error" in found:
        st.error("The query did not run.", icon=":material/error:")
        st.code(found["error"], language=None, wrap_lines=True)
        return
    rows = found["table"]
    more = " (there are more; raise the limit, or aggregate)" if found["cut"] else ""
    more += f", {found['shortened']:,} long cells shortened" if found["shortened"] else ""
    st.caption(f"{rows.num_rows:,} rows{more} in {found['seconds']:.2f} s")
    st.dataframe(rows, hide_index=True, key="rows", alt="Rows of the query", height="auto")
    st.download_button("CSV", data=as_csv(rows), file_name="tilth.csv", mime="text/csv", icon=":material/download:", on_click="ignore")  # fmt: skip


def as_csv(rows: Any) -> str:
    text = io.StringIO(newline="")
    write_rows(rows, "csv", text)
    return text.getvalue()


# ── what there is ───────────────────────────────────────────────────────────────────────────────────────────────────


def schema_browser() -> None:
    st.subheader("Datasets", anchor=False)
    word = st.text_input("Find", placeholder="a word in a dataset or column", key="find", icon=":material/search:", label_visibility="collapsed")  # fmt: skip
    wanted = (word or "").strip().lower()
    found = [
        name for name in sorted(DATASETS) if any(wanted in text for text in (name, *view_schema(name).names))
    ]
    if not found:
        st.caption("No dataset or column has this in its name.")
        return
    name = st.selectbox("Dataset", found, index=found.index("documents") if "documents" in found and not wanted else 0)  # fmt: skip
    rows = [{"column": field.name, "type": type_name(field.type)} for field in view_schema(name or found[0])]
    frame.table(rows, {"column": frame.text("Column"), "type": frame.text("Type")}, alt=f"Columns of {name}", most=16)  # fmt: skip
    st.caption("Plain names show, of every recipe, the version run last; `all_documents`, `all_decisions` and so on show every version. Personal data in text is masked.")  # fmt: skip


def type_name(kind: Any) -> str:
    """An Arrow type in short.

    >>> import pyarrow as pa
    >>> type_name(pa.list_(pa.struct([("start", pa.int64())])))
    'list of (start)'
    """
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"({', '.join(field.name for field in kind)})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    words = {"large_string": "text", "string": "text", "int64": "integer", "int32": "integer", "double": "number", "bool": "yes or no"}  # fmt: skip
    return words.get(str(kind), str(kind))


if __name__ == "__main__":
    frame.page("SQL", "One query at a time over the lake's datasets, in DuckDB's SQL. It can read them and nothing else, and it writes nothing.", show)  # fmt: skip
