"""The main journey in a real Chromium, over the real server: what AppTest cannot see (charts, clicks, addresses, downloads)."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.server import command, surroundings
from corpus import names
from corpus.lake import Lake
from quality.funnel import funnel_rows
from tests.processes import HANGS, wait_until

pytestmark = pytest.mark.browser
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"]
SECONDS = 120
ROW, HEADER = 33, 33  # pixels of a table, which is a canvas


@pytest.fixture(scope="module")
def address(small_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a free port, in a working folder that has an `app` and a `profile` of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    for name in ("app", "profile"):
        (folder / f"{name}.py").write_text("raise SystemExit('not this one')")
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(command(port), env=surroundings(small_lake), cwd=folder, stdout=out, stderr=out)  # fmt: skip
    try:
        health = f"http://127.0.0.1:{port}/_stcore/health"
        started = wait_until(lambda: answers(health), lambda: server.poll() is None)
        assert started, f"the server did not start: {log.read_text(errors='replace')}"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(HANGS)


def answers(health: str) -> bool:
    try:
        urllib.request.urlopen(health, timeout=1)
        return True
    except OSError:
        return False


@pytest.fixture
def page(chromium: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A browser page that notes what it asks of other hosts; a picture stays behind when the test fails."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1440, "height": 1400})
        opened.set_default_timeout(SECONDS * 1000)
        foreign: list[str] = []
        opened.on("request", lambda asked: None if asked.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")) else foreign.append(asked.url))  # fmt: skip
        failed = request.session.testsfailed
        try:
            yield opened
            assert foreign == []
        finally:
            if request.session.testsfailed > failed or foreign:
                opened.screenshot(path=tmp_path / "failure.png", full_page=True)
                print(f"the page as it was: {tmp_path / 'failure.png'}")
            browser.close()


def settle(page: Any) -> None:
    """Wait until the script has run; no page may show an exception."""
    time.sleep(0.2)
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
    page.wait_for_selector("[data-test-connection-state='CONNECTED']", state="attached")
    time.sleep(0.2)
    assert page.locator("[data-testid='stException']").count() == 0


def go(page: Any, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
    settle(page)


def select_row(page: Any, row: int) -> None:
    """Tick a row of the first table."""
    page.get_by_test_id("stDataFrame").first.click(position={"x": 15, "y": HEADER + row * ROW + ROW // 2})
    settle(page)


NAMES_SEEN = """
window.namesSeen = [];
new MutationObserver(() => {
    for (const link of document.querySelectorAll("[data-testid='stSidebarNavLink']"))
        if (!window.namesSeen.includes(link.innerText)) window.namesSeen.push(link.innerText);
}).observe(document, {subtree: true, childList: true});
"""


def test_a_deep_link_is_the_first_thing_a_server_is_asked(address: str, page: Any) -> None:
    page.add_init_script(NAMES_SEEN)
    page.goto(f"{address}/curation?view=Documents&doc=p64")
    page.get_by_role("heading", name="Curation", level=1).wait_for()
    settle(page)
    page.get_by_text("Her number is SSN").wait_for()
    assert "<SSN>" in page.get_by_text("Her number is SSN").inner_text()
    assert "view=Documents" in page.url and "doc=p64" in page.url
    assert page.get_by_test_id("stSidebarNav").get_by_role("link", name="Lineage").count() == 1
    seen = {name.splitlines()[-1] for name in page.evaluate("window.namesSeen") if name.strip()}
    assert seen == {"Overview", "Curation", "SQL", "Mixture", "Training", "Scorecards", "Lineage"}


def test_from_the_funnel_to_a_document_and_why(small_lake: Path, address: str, page: Any) -> None:
    page.goto(f"{address}/curation?source=prose")
    settle(page)
    charts_drawn(page, 2)
    select_row(page, row_of_rule(small_lake, "prose", "near_duplicate"))
    page.get_by_role("button", name=re.compile("Look at 1 of prose")).click()
    page.get_by_text("One document", exact=True).wait_for()
    settle(page)
    assert "outcome=near_duplicate" in page.url
    select_row(page, 0)
    page.get_by_text("Its partner p61").wait_for()
    assert page.locator("mark.diff").count() > 0
    assert "doc=" in page.url
    page.get_by_role("link", name="Runs and steps that saw it").click()
    page.get_by_role("heading", name="Decisions").wait_for()
    settle(page)


def charts_drawn(page: Any, count: int) -> None:
    """Charts come a moment after the script has run."""
    page.get_by_test_id("stVegaLiteChart").locator("svg.marks, canvas").nth(count - 1).wait_for(
        state="attached"
    )


def row_of_rule(root: Path, source: str, rule: str) -> int:
    lake = Lake.open(root, create=False)
    snapshot = lake.get("snapshot", names.resolve(lake, "small/snapshot").id)
    rows = funnel_rows(snapshot.summary["sources"], snapshot.summary["rejects"])
    return [row["rule"] for row in rows if row["source"] == source].index(rule)


def test_a_query_runs_and_its_rows_come_as_csv(address: str, page: Any) -> None:
    page.goto(address)
    go(page, "SQL")
    page.get_by_label("One query").fill(
        "SELECT source, sum(num_tokens) AS tokens FROM decisions WHERE kept GROUP BY ALL ORDER BY ALL"
    )
    page.keyboard.press("Control+Enter")
    page.get_by_text(re.compile("2 rows in")).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert lines[0] == "source,tokens"
    assert [line.split(",")[0] for line in lines[1:]] == ["code", "prose"]
    page.get_by_label("One query").fill("COPY (SELECT 1) TO 'here.csv'")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("The query did not run.").wait_for()


def test_every_page_of_the_journey_draws_its_charts(address: str, page: Any) -> None:
    page.goto(address)
    settle(page)
    for name, charts in (("Curation", 2), ("Mixture", 2), ("Training", 6), ("Scorecards", 1)):
        go(page, name)
        charts_drawn(page, charts)
        assert page.locator("[aria-label^='Lines:'], [aria-label^='Bars:'], [aria-label^='Dots:'], [aria-label^='Scatter']").count() > 0  # fmt: skip
    page.get_by_text("The gate, rule by rule").wait_for()
    go(page, "Lineage")
    # While it is drawn there may be a hidden one besides.
    page.locator("svg[id^='mermaid'], [data-testid='stMermaidChart'] svg").filter(
        visible=True
    ).first.wait_for()


def test_the_chosen_version_stays_in_the_address_from_page_to_page(address: str, page: Any) -> None:
    page.goto(f"{address}/scorecards?recipe=small&version=1&section=Comparison&baseline=replay-30/4")
    settle(page)
    page.get_by_text("Every comparison").wait_for()
    assert "baseline=replay-30" in page.url
    assert page.get_by_text("Checkpoint − replay-30/4 on the same items").count() == 1
