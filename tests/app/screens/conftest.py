"""What tests of pages share: a page that is opened on a lake, and caches that no other test filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.server import LAKE_VARIABLE
from tests.app.screens.page import MAIN
from tests.processes import HANGS


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    yield
    st.cache_data.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a page of the app on a lake, with query parameters."""

    def open_page(lake: Path, page: str, **query: str) -> AppTest:
        monkeypatch.setenv(LAKE_VARIABLE, str(lake))
        test = AppTest.from_file(str(MAIN), default_timeout=HANGS).run()
        assert not test.exception, [found.value for found in test.exception]
        if page != "overview":
            test.switch_page(f"{page}.py")
        for name, value in query.items():
            test.query_params[name] = value
        return test.run()

    return open_page
