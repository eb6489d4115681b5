"""Starting the app: Streamlit on 127.0.0.1, with nothing sent anywhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from corpus.errors import ConfigError

LAKE_VARIABLE = "TILTH_LAKE"


def command(port: int) -> list[str]:
    """The command that serves the app; the lake is in the environment."""
    settings = {
        "server.port": str(port), "server.address": "127.0.0.1", "server.headless": "true", "server.fileWatcherType": "none", "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal", "server.enableXsrfProtection": "true",
    }  # fmt: skip
    return [
        sys.executable,
        "-m",
        "app.server",
        "run",
        str(Path(__file__).with_name("main.py")),
        *(f"--{key}={value}" for key, value in settings.items()),
    ]


def serve(lake: Path, port: int) -> int:
    """Serve until stopped; returns the exit code. A port that is taken is an error, 0 is a free one."""
    port = _free_port(port)
    print(f"http://127.0.0.1:{port}  (lake {lake}; Ctrl-C ends it)", flush=True)
    process = subprocess.Popen(command(port), env={**os.environ, LAKE_VARIABLE: str(lake)})
    try:
        return process.wait()
    finally:
        process.terminate()
        process.wait(10)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} is taken. Give another with --port, or --port 0 for a free one."
            ) from error
        return int(probe.getsockname()[1])


def _streamlit() -> None:
    """Streamlit's command line, for which pages/ is no list of pages.

    Until a server's first script has run it would show every file there as a page, by name. No setting says otherwise:
    `client.showSidebarNavigation` hides what `st.navigation` lists as well.
    """
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web.cli import main

    PagesManager.uses_pages_directory = False
    main(prog_name="streamlit")


if __name__ == "__main__":
    _streamlit()
