"""The app's server: a port that can be had, modules of nobody else, and a lake that it leaves as it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from app.server import SCRIPT, command, surroundings
from tests.app.command import refused, tilth


def test_a_working_folder_that_holds_an_app_of_its_own_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "streamlit.py").write_text("raise SystemExit('not this one')")
    asked = "import app.server, streamlit; print(app.server.__file__)"
    interpreter = command(0)[: command(0).index("-m")]
    said = subprocess.check_output(
        [*interpreter, "-c", asked], cwd=tmp_path, env=surroundings(tmp_path), text=True
    )
    assert Path(said.strip()) == SCRIPT.parents[1] / "server.py"


def test_no_module_beside_the_script_has_the_name_of_a_library() -> None:
    """Streamlit puts the script's folder at the front of sys.path: a `profile.py` there would be Python's own for cProfile."""
    libraries = sys.stdlib_module_names | metadata.packages_distributions().keys()
    beside = {path.stem for path in SCRIPT.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert beside & libraries == set()
    assert "pages" not in beside  # which Streamlit would take for its list of pages


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_is_none_is_a_mistake_in_the_command(tmp_path: Path, port: str) -> None:
    refused(tilth("app", "--port", port, "--lake", tmp_path), "--port", port, "65535")


def test_a_port_that_cannot_be_had_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(tilth("app", "--port", port, "--lake", tmp_path), f"port {port} is taken", "--port 0")

    def forbid(*asked: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(socket.socket, "bind", forbid)
    said = tilth("app", "--port", "80", "--lake", tmp_path)
    refused(said, "port 80 cannot be opened", "Permission denied", "--port 0")
    assert "taken" not in said.err


def test_the_app_makes_no_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[list[str]] = []

    class Server:
        def __init__(self, asked: list[str], env: dict[str, str]) -> None:
            served.append([env["TILTH_LAKE"], *asked])

        def wait(self, seconds: float = 0) -> int:
            return 0

        def terminate(self) -> None: ...

    monkeypatch.setattr(subprocess, "Popen", Server)
    said = tilth("app", "--port", "0", "--lake", tmp_path / "typo")
    assert said.code == 0 and "not there yet" in said.out
    assert served[0][0] == str(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "other").write_text("")
    refused(tilth("app", "--port", "0", "--lake", tmp_path), "no lake")
    refused(tilth("app", "--port", "0", "--lake", tmp_path / "other"), "no lake")
    refused(tilth("app", "--port", "0", "--lake", "s3://bucket/lake"), "not supported yet")


def test_no_traceback_is_shown_in_the_browser_wherever_the_settings_are_read_from() -> None:
    assert "--client.showErrorDetails=type" in command(0)
