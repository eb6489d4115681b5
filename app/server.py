"""Starting the app: Streamlit on 127.0.0.1, with nothing sent anywhere."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

from corpus.errors import ConfigError

LAKE_VARIABLE = "TILTH_LAKE"
SCRIPT = Path(__file__).parent / "screens" / "main.py"


def command(port: int) -> list[str]:
    """The command that serves the app, in the environment of `surroundings`. `-P`: not from the working folder, which may hold an `app.py`."""
    settings = {
        "server.port": str(port), "server.address": "127.0.0.1", "server.headless": "true", "server.fileWatcherType": "none", "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal", "server.enableXsrfProtection": "true",
        "client.showErrorDetails": "type",  # a traceback in the browser could quote text; the terminal has it whole
    }  # fmt: skip
    options = [f"--{key}={value}" for key, value in settings.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(SCRIPT), *options]


def surroundings(lake: Path) -> dict[str, str]:
    """The environment of the server: its lake, and where these packages are."""
    path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, LAKE_VARIABLE: str(lake), "PYTHONPATH": os.pathsep.join(path)}


def serve(lake: Path, port: int) -> int:
    """Serve until stopped; returns the exit code. A port that is taken is an error, 0 is a free one."""
    port = _free_port(port)
    there = "" if lake.exists() else ", which is not there yet"
    print(f"http://127.0.0.1:{port}  (lake {lake}{there}; Ctrl-C ends it)", flush=True)
    process = subprocess.Popen(command(port), env=surroundings(lake))
    try:
        return process.wait()
    finally:
        process.terminate()
        process.wait(10)


def _free_port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port} is no port. Give one from 1 to 65535, or 0 for a free one.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is taken" if taken else f"cannot be opened: {error.strerror}"
            raise ConfigError(
                f"port {port} {reason}. Give another with --port, or --port 0 for a free one."
            ) from error
        return int(probe.getsockname()[1])
