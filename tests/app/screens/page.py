"""A page of the app in tests: opened on a lake without a browser, and all that it says."""

from __future__ import annotations

import html
from pathlib import Path

from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).parents[3] / "app" / "screens" / "main.py"
PAGES = ["overview", "curation", "sql", "mixture", "training", "scorecards", "lineage"]


def shown(test: AppTest) -> str:
    """Everything a page says, tables and HTML included."""
    assert not test.exception, [found.value for found in test.exception]
    said = [*test.title, *test.subheader, *test.markdown, *test.caption, *test.info, *test.warning, *test.error, *test.success, *test.code, *test.metric]  # fmt: skip
    words = [str(element.value) for element in said]
    words += [element.value.to_csv() for element in test.dataframe]
    words += [html.unescape(element.proto.body) for element in test.get("html")]
    return "\n".join(words)
