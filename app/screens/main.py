"""The review app's entry: which pages there are, and which version of which recipe they are about.

`python -m streamlit run app/screens/main.py` with the lake in TILTH_LAKE; `tilth app` does it. Pages are files, so that each
has an address and tests can open it. Streamlit puts the folder of this file at the front of `sys.path`: nothing in it may
have the name of a library. It also takes a folder `pages` beside it for its list of pages: there is none.
"""

from __future__ import annotations

import streamlit as st

from app.screens.frame import ICON, STYLE, choose_version

PAGES = {
    "Data": [
        st.Page("overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("curation.py", title="Curation", icon=":material/filter_alt:"),
        st.Page("sql.py", title="SQL", icon=":material/terminal:"),
    ],
    "Model": [
        st.Page("mixture.py", title="Mixture", icon=":material/donut_small:"),
        st.Page("training.py", title="Training", icon=":material/show_chart:"),
        st.Page("scorecards.py", title="Scorecards", icon=":material/balance:"),
        st.Page("lineage.py", title="Lineage", icon=":material/account_tree:"),
    ],
}


def main() -> None:
    """Draw the sidebar and the page that the address names."""
    st.set_page_config(page_title="Tilth", page_icon=ICON, layout="wide")
    st.logo(ICON, size="large")
    st.html(STYLE)
    page = st.navigation(PAGES)
    choose_version()
    page.run()


if __name__ == "__main__":
    main()
