"""The door to fsspec: files behind s3://, memory://, https:// and the like. Local paths never come here.

Credentials and endpoints come from the environment (AWS_…, FSSPEC_…), never from a recipe.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from corpus.errors import ConfigError, did_you_mean
from corpus.paths import alternatives
from corpus.web import find_on_web, has_query, info_on_web, is_web, open_on_web, sends_pieces

# What changes when a file is written, in the words of fsspec's file systems, the surest first.
_STAMPS = ("ETag", "etag", "md5", "md5Hash", "checksum", "content_md5", "generation", "mtime", "LastModified", "last_modified", "created")  # fmt: skip

Stat = tuple[int, str]  # size in bytes, stamp


def list_url(url: str) -> list[tuple[str, int, str]]:
    """(URL, size, stamp) of each file at a URL, below it, or matching its pattern; sorted. ConfigError where there is none."""
    filesystem, path = _filesystem(url)
    found: dict[str, Any] = {}
    try:
        for one in alternatives(path):
            found |= _find(filesystem, one)
    except Exception as error:  # each protocol has its own errors: no credentials, no bucket, no route
        raise ConfigError(
            f"cannot list {url!r}: {type(error).__name__}: {error}. Check the address, the credentials and the network.{_about_folders(path)}"
        ) from error
    inside = len(path if has_query(path) else re.split(r"[*{]", path)[0].rstrip("/"))
    files = [
        (str(filesystem.unstrip_protocol(name)), *_stat(filesystem, name, info))
        for name, info in sorted(found.items())
        if info["type"] == "file" and not name[inside:].endswith("/") and "/." not in name[inside:]
    ]
    if not files:
        what = "address" if is_web(path) else "bucket, the prefix and the pattern"
        raise ConfigError(f"the source {url!r} matches no file. Check the {what}.{_about_folders(path)}")
    return files


def _about_folders(path: str) -> str:
    if is_web(path) and not has_query(path) and (path.endswith("/") or re.search(r"[*\[]", path)):
        return " Over http a folder or a pattern needs an index page with links to its files; without one, give the address of a file."
    return ""


def _stat(filesystem: Any, path: str, info: dict[str, Any]) -> Stat:
    """Size and stamp of one file; a listing may know neither, and a size that nobody knows is 0."""
    if info.get("size") is None and not is_web(path):
        info = filesystem.info(path)
    return int(info.get("size") or 0), _stamp(info)


def _find(filesystem: Any, path: str) -> dict[str, Any]:
    try:
        if is_web(path):
            return find_on_web(filesystem, path)
        if glob.has_magic(path):
            return dict(filesystem.glob(path, detail=True))
        if filesystem.isdir(path):
            return dict(filesystem.find(path, detail=True))
        return {path: filesystem.info(path)}
    except FileNotFoundError:
        return {}


def stat_url(url: str, before: str) -> Stat:
    """Size and stamp of one file, asked for anew; the stamp is of the same kind as `before`, as far as there is one."""
    filesystem, path = _filesystem(url)
    info = info_on_web(filesystem, path) if is_web(path) else filesystem.info(path)
    key = before.partition("=")[0]
    return int(info.get("size") or 0), _stamp(info, [key]) or before


def open_url(url: str) -> BinaryIO:
    """The stored bytes of one file, from the first to the last."""
    filesystem, path = _filesystem(url)
    opened: BinaryIO = open_on_web(filesystem, path) if is_web(path) else filesystem.open(path, "rb")
    return opened


def open_anywhere(url: str) -> BinaryIO | None:
    """The stored bytes of one file, to be read at any place; None where a server sends it as a whole only."""
    filesystem, path = _filesystem(url)
    if is_web(path) and not sends_pieces(filesystem, path):
        return None
    opened: BinaryIO = filesystem.open(path, "rb")
    return opened


def head_of(url: str, size: int) -> bytes:
    """The first bytes of a file that can be read at any place, and no more than those."""
    filesystem, path = _filesystem(url)
    head: bytes = filesystem.cat_file(path, 0, size)
    return head


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec  # imported here: most lakes never need it

    protocol = url.partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise ConfigError(
            f"reading {url!r} needs a package that is not installed: {error}. Install it beside tilth (for s3:// that is `pip install s3fs`)."
        ) from error
    except ValueError as error:
        known = fsspec.available_protocols()
        raise ConfigError(
            f"{url!r} has the unknown protocol {protocol!r}.{did_you_mean(protocol, known)} Known are s3, gs, abfs, hf, https, memory, file and fsspec's others."
        ) from error
    return filesystem, path


def _stamp(info: dict[str, Any], keys: Iterable[str] = _STAMPS) -> str:
    for key in keys:
        if value := info.get(key):
            return f"{key}={value.timestamp() if isinstance(value, datetime) else value}"
    return ""
