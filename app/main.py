"""The review app's entry: which pages there are, and which version of which recipe they are about.

`python -m streamlit run app/main.py` with the lake in TILTH_LAKE; `tilth app` does it. Pages are files, so that each has an
address and tests can open it.
"""

from __future__ import annotations

import streamlit as st

from app.pages.frame import ENTERED, ICON, STYLE, choose_version

# A page's address is its file's name: where the first request of a server is a deep link, Streamlit looks for the file.
PAGES = {
    "Data": [
        st.Page("pages/overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("pages/curation.py", title="Curation", icon=":material/filter_alt:"),
        st.Page("pages/sql.py", title="SQL", icon=":material/terminal:"),
    ],
    "Model": [
        st.Page("pages/mixture.py", title="Mixture", icon=":material/donut_small:"),
        st.Page("pages/training.py", title="Training", icon=":material/show_chart:"),
        st.Page("pages/scorecards.py", title="Scorecards", icon=":material/balance:"),
        st.Page("pages/lineage.py", title="Lineage", icon=":material/account_tree:"),
    ],
}


def main() -> None:
    """Draw the sidebar and the page that the address names."""
    st.session_state[ENTERED] = True
    st.set_page_config(page_title="Tilth", page_icon=ICON, layout="wide")
    st.logo(ICON, size="large")
    st.html(STYLE)
    page = st.navigation(PAGES)
    choose_version()
    page.run()


if __name__ == "__main__":
    main()
