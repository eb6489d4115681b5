"""What every test gets: one thread per library, no network, one Hypothesis profile; a lake, and a Chromium where there is one."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from app.doctor import find_browser

if TYPE_CHECKING:
    from corpus.lake import Lake

# Two xdist workers share two cores: libraries that start a thread per core would fight. Set before any of them is imported.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["DS_BUILD_OPS"] = "0"

# No deadline: the machine is shared. The same examples every time in CI: a red build can be run again.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Connections beyond this machine fail, so that no test can come to need one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_here(getattr(socket.socket, name)))
        yield


def _only_here(connect: Any) -> Any:
    def connect_here(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(str(address[0])):
            self.close()
            raise AssertionError(f"a test asked for {address!r}; tests run without a network")
        return connect(self, address)

    return connect_here


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that holds nothing yet."""
    from corpus.lake import Lake

    return Lake.open(tmp_path / "lake")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium for tests marked `browser`; without one they are skipped, and in CI they fail."""
    found = find_browser()
    if found:
        return found
    message = "no Chromium on this machine; install it with: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
