"""The SQL console of the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from corpus import names
from corpus.lake import Lake


def test_a_query_answers_with_rows_and_a_csv(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "sql")
    test.text_area(key="q").set_value("SELECT source, count(*) AS n FROM documents GROUP BY ALL ORDER BY ALL")
    submit(test)
    rows = next(element.value for element in test.dataframe if "n" in element.value.columns)
    lake = Lake.open(small_lake, create=False)
    read = {
        f"{fact['key']}": lake.get("documents", fact["id"]).rows("documents")
        for fact in names.current(lake, "documents")
    }
    assert dict(zip(rows["source"], rows["n"], strict=True)) == read
    assert test.get("download_button")


@pytest.mark.parametrize(
    ("query", "word"),
    [("SELECT * FROM nothing", "nothing"), ("COPY (SELECT 1) TO 'rows.csv'", ""), ("SELECT 1; SELECT 2", "one"), ("", "")],
)  # fmt: skip
def test_a_query_that_is_wrong_or_not_allowed_is_answered_as_text(
    small_lake: Path, opened: Any, query: str, word: str
) -> None:
    test = opened(small_lake, "sql")
    test.text_area(key="q").set_value(query)
    submit(test)
    assert test.error
    assert word in test.code[-1].value


def test_every_example_runs(small_lake: Path, opened: Any) -> None:
    from app.screens.sql import EXAMPLES

    test = opened(small_lake, "sql")
    for example in EXAMPLES:
        test.selectbox(key="example").set_value(example).run()
        assert test.text_area(key="q").value == EXAMPLES[example]
        submit(test)
        assert not test.error, (example, [code.value for code in test.code])


def submit(test: AppTest) -> None:
    next(button for button in test.button if button.label == "Run").click()
    test.run()
    assert not test.exception
