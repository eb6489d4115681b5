"""What every page stands in: the lake, the chosen version of a recipe, and messages where there is nothing to show.

A page is a function of an open lake and a version. It may meet a lake that is empty, half-built or being written: `page`
turns what the lake says into a message, so that no reader sees a traceback for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from app.server import LAKE_VARIABLE
from corpus import names
from corpus.errors import TilthError, UnknownName
from corpus.lake import Lake, Manifest
from corpus.names import Claim

RECIPE, VERSION = "recipe", "version"
ROW_PIXELS = 33


def lake_root() -> Path:
    return Path(os.environ.get(LAKE_VARIABLE) or "lake")


def open_lake() -> Lake | None:
    """The lake, opened for reading; None where there is none yet."""
    try:
        return Lake.open(lake_root(), create=False)
    except UnknownName:
        return None


def choose_version() -> None:
    """The sidebar's choice of recipe and version, kept in the address (`?recipe=NAME&version=N`) on every page."""
    with st.sidebar, guarded():
        lake = open_lake()
        known = names.recipe_names(lake) if lake else []
        if lake and known:
            latest = max(
                known, key=lambda name: max((found.run_utc for found in names.claims(lake, name)), default=0)
            )
            with addressed(RECIPE, [latest, *(name for name in known if name != latest)], always=True):
                name = st.selectbox("Recipe", known, key=RECIPE)
            versions = [str(found.version) for found in names.versions(lake, name)]
            with addressed(VERSION, versions, always=True):
                st.selectbox(
                    "Version",
                    versions,
                    key=VERSION,
                    help="The one run last stands first, samples after whole corpora.",
                )
        st.caption(f"Lake `{lake_root()}`")
        st.button("Reload", icon=":material/refresh:", type="tertiary", help="Read the lake again.")


def chosen_version(lake: Lake) -> Claim | None:
    """The version that the sidebar chose; None in a lake without recipes."""
    name, number = st.session_state.get(RECIPE), st.session_state.get(VERSION)
    known = names.versions(lake, name) if name else []
    return next((found for found in known if str(found.version) == number), known[0] if known else None)


@contextmanager
def addressed(key: str, options: Sequence[str], always: bool = False) -> Iterator[None]:
    """Around a choice that stands in the address: what the address asks for comes first, then what was chosen, then options[0].

    Streamlit's own `bind` leaves out what is the default today (a link must name its version still tomorrow), and forgets
    what was set before a widget is first drawn.
    """
    asked, seen = st.query_params.get(key), f"{key} in the address"
    if asked in options and asked != st.session_state.get(seen):  # a link, or the browser's way back
        st.session_state[key] = asked
    elif st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    yield
    chosen = st.session_state[key]
    if always or chosen != options[0]:
        st.query_params[key] = st.session_state[seen] = chosen
    else:
        st.query_params.pop(key, None)
        st.session_state.pop(seen, None)


def page(title: str, about: str, show: Callable[[Lake, Claim], None]) -> None:
    """A page's title and content, or what to do where the lake has nothing for it."""
    st.title(title, anchor=False)
    st.caption(about)
    with guarded():
        lake = open_lake()
        owner = chosen_version(lake) if lake else None
        if lake is None or owner is None:
            empty(f"There is nothing in the lake {lake_root()} yet.", "tilth run recipes/demo.yaml")
        else:
            show(lake, owner)


STYLE = """<style>
.stMainBlockContainer {padding-top: 2.5rem; padding-bottom: 3rem; padding-left: 3.5rem; padding-right: 3.5rem; max-width: 1500px;}
[data-testid="stMetricValue"] {font-variant-numeric: tabular-nums; font-size: 1.75rem;}
</style>"""
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2F6B4F"/>
<path d="M16 26V13M16 18c0-5 3-8 8-8 0 5-3 8-8 8zM16 15c0-4-2.500-7-7-7 0 4 2.500 7 7 7zM6 26h20" fill="none" stroke="#fff" stroke-width="2.400" stroke-linecap="round" stroke-linejoin="round"/></svg>"""


@contextmanager
def guarded() -> Iterator[None]:
    """What a lake that is being written, moved or was damaged raises becomes a message."""
    try:
        yield
    except TilthError as error:
        st.warning("This cannot be shown.", icon=":material/info:")
        st.code(str(error), language=None, wrap_lines=True)
    except (OSError, json.JSONDecodeError) as error:
        st.warning(
            "The lake changed while it was read. Reload in a moment; if that does not help, look at the message.",
            icon=":material/sync_problem:",
        )
        st.code(str(error), language=None, wrap_lines=True)


def stopped(message: str) -> None:
    """What a guard said when it stopped the recipe, line by line."""
    st.error(plain(message[:1].upper() + message[1:]).replace("\n", "  \n"), icon=":material/front_hand:")


def empty(text: str, command: str) -> None:
    """Nothing here yet, and the command that makes something."""
    st.info(text, icon=":material/inbox:")
    make_with(command)


def make_with(command: str) -> None:
    st.markdown("Make it with")
    st.code(f"{command} --lake {lake_root()}", language="bash")


def missing(lake: Lake, owner: Claim, kind: str, what: str, command: str, page: str) -> None:
    """The version has nothing of a kind: the newest versions that have, as links to the same page, and the command that makes it."""
    st.info(f"{owner} has no {what} yet.", icon=":material/inbox:")
    elsewhere(lake, owner, kind, what, page)
    make_with(command)


def elsewhere(lake: Lake, owner: Claim, kind: str, what: str, page: str, most: int = 3) -> None:
    """Links to the versions of the name that do have something of a kind, the one run last first."""
    others = [found for found in names.versions(lake, owner.name) if names.attached(lake, found, kind)][:most]
    if not others:
        return
    st.caption(f"{plain(' and '.join(map(str, others)))} {'has' if len(others) == 1 else 'have'} a {what}:")
    with st.container(horizontal=True):
        for other in others:
            st.page_link(page, label=f"Show {plain(str(other))}", icon=":material/history:", query_params=address(other))  # fmt: skip


def artifact(lake: Lake, owner: Claim, kind: str) -> Manifest | None:
    """The version's only (or first) artifact of a kind."""
    found = names.attached(lake, owner, kind)
    return lake.get(kind, found[0]["id"]) if found else None


def address(owner: Claim, **more: str) -> dict[str, str]:
    """Query parameters of a link to a page about the same version."""
    return {RECIPE: owner.name, VERSION: str(owner.version), **more}


# ── rows and words ──────────────────────────────────────────────────────────────────────────────────────────────────


def table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any] | None = None, *, key: str | None = None, alt: str = "", select: bool = False, most: int = 12
) -> Any:  # fmt: skip
    """Rows as a table without an index, `most` of them in sight; `columns` names those shown, in order, with their configuration.

    With `select`, the number of the chosen row, or None.
    """
    import polars as pl

    shown = list(columns) if columns else list(rows[0]) if rows else []
    frame = pl.DataFrame([{name: row.get(name) for name in shown} for row in rows], infer_schema_length=None)
    options: dict[str, Any] = {
        "hide_index": True, "column_config": dict(columns) if columns else None, "key": key, "alt": alt or None, "placeholder": "",
        "height": "content" if len(rows) <= most else ROW_PIXELS * (most + 1),
    }  # fmt: skip
    if not select:
        return st.dataframe(frame, **options)
    found = st.dataframe(frame, on_select="rerun", selection_mode="single-row", **options)
    chosen = found.selection.rows if found else []
    return chosen[0] if chosen and chosen[0] < len(rows) else None


def number(title: str, format: str = "localized", **options: Any) -> Any:
    return st.column_config.NumberColumn(title, format=format, **options)


def share(title: str, **options: Any) -> Any:
    """A column of fractions, shown as a bar."""
    return st.column_config.ProgressColumn(title, format="percent", min_value=0.0, max_value=1.0, **options)


def text(title: str, width: str | int | None = None, **options: Any) -> Any:
    return st.column_config.TextColumn(title, width=width, **options)


def moment(time_utc: int | None) -> str:
    """Microseconds since 1970 as a date and time, UTC."""
    return f"{datetime.fromtimestamp(time_utc / 1e6, UTC):%Y-%m-%d %H:%M}" if time_utc else ""


def size(num_bytes: float) -> str:
    """A number of bytes for people.

    >>> size(1_234_567)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"


def plain(words: str) -> str:
    """Text of a lake inside Markdown: nothing in it is markup.

    >>> plain("a_b ![x](y)")
    'a\\\\_b \\\\!\\\\[x\\\\]\\\\(y\\\\)'
    """
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()<>#+!|$~:&" else sign for sign in words)
