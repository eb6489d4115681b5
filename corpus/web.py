"""What a web server says of its files. It has no folders but by index pages, may not send a piece of a file, and fails for a while.

fsspec takes an address that fails for a missing file, a page of links for a folder, and finds no pattern; here they are told
apart. Of an index page only the links to what lies directly in its folder count.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

Info = dict[str, Any]
_GONE = (404, 410)
_MAGIC = re.compile(r"[*\[]")  # "?" begins a query
_QUOTED_MAGIC = re.compile("%(2A|3F|5B)", re.IGNORECASE)
# Links that sort the page, lead elsewhere, or are the folder itself.
_OTHER_LINK = re.compile(r"[?#/]|^(mailto|javascript|tel|data):|^\.{1,2}$")


def is_web(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def has_query(url: str) -> bool:
    """Whether an address is a file's, whatever it looks like: in a query `*`, `[` and `/` are the server's."""
    return is_web(url) and "?" in url


def info_on_web(filesystem: Any, url: str) -> Info:
    """What the server says of a file; of the type "directory" where it leads on to an address that ends in "/".

    FileNotFoundError only where the server says that there is none.
    """
    try:
        info: Info = filesystem.info(url)
    except FileNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, Exception) and getattr(cause, "status", None) not in _GONE:
            raise cause from None
        raise
    is_folder = urlsplit(str(info.get("url", url))).path.endswith("/")
    return {**info, "type": "directory" if is_folder else "file"}


def find_on_web(filesystem: Any, url: str) -> dict[str, Info]:
    """The file at an address, or those that a folder's or a pattern's index pages link to. FileNotFoundError for none."""
    if has_query(url):
        return {url: {**info_on_web(filesystem, url), "type": "file"}}
    base, names = _split(url)
    if not names and not url.endswith("/"):
        info = info_on_web(filesystem, url)
        if info["type"] == "file":
            return {url: info}
    return _IndexPages(filesystem, base).find(names or ("**",))


def open_on_web(filesystem: Any, url: str) -> BinaryIO:
    """The bytes of a file in one answer, which every server can give, for as long as they keep coming."""
    from aiohttp import ClientTimeout

    patience = ClientTimeout(total=None, sock_connect=60, sock_read=300)
    # any size keeps fsspec from asking for it first, which takes no timeout
    opened: BinaryIO = filesystem.open(url, "rb", block_size=0, size=1, timeout=patience)
    return opened


def sends_pieces(filesystem: Any, url: str) -> bool:
    """Whether the server sends any piece of the file that is asked for."""
    with filesystem.open(url, "rb", cache_type="none") as file:
        try:
            file.seek(-1, 2)
            return len(file.read(1)) == 1
        except ValueError:  # fsspec's word for an answer that is the whole file, or has no length
            return False


def _split(url: str) -> tuple[str, tuple[str, ...]]:
    """The folder to begin in, and what to match from there: the names of folders, and at last the file's.

    >>> _split("https://example.org/acts/*/a*.jsonl")
    ('https://example.org/acts/', ('*', 'a*.jsonl'))
    >>> _split("https://example.org/all%20acts/all%20*/%5B1%5D*")
    ('https://example.org/all%20acts/', ('all *', '[[]1]*'))
    """
    scheme, host, *names = re.split(r"(?<!:|/)/|://", url)
    literal = next((i for i, name in enumerate(names) if _MAGIC.search(name)), None)
    if literal is None:
        return url.rstrip("/") + "/", ()
    pattern = tuple(_unquoted(name) for name in names[literal:] if name)
    return "/".join([f"{scheme}://{host}", *names[:literal], ""]), (
        (*pattern, "**") if url.endswith("/") else pattern
    )


def _unquoted(pattern: str) -> str:
    """What is quoted in a pattern stands for itself."""
    return unquote(_QUOTED_MAGIC.sub(lambda quoted: f"[{unquote(quoted[0])}]", pattern))


class _IndexPages:
    """Finds what matches below a folder, and reads each page once."""

    def __init__(self, filesystem: Any, base: str):
        self._filesystem, self._base = filesystem, base
        self._read: dict[str, list[str]] = {}

    def find(self, pattern: tuple[str, ...]) -> dict[str, Info]:
        found: dict[str, Info] = {}
        places = [(self._base, pattern)]
        while places:
            folder, pattern = places.pop()
            if pattern[0] == "**":
                places.append((folder, pattern[1:] or ("*",)))
                places += [(link, pattern) for link in self._matching(folder, "*") if link.endswith("/")]
                continue
            for link in self._matching(folder, pattern[0]):
                if link.endswith("/"):
                    places += [(link, pattern[1:])] if pattern[1:] else []
                elif not pattern[1:]:
                    found[link] = self._info(folder, link)
        return found

    def _matching(self, folder: str, name: str) -> list[str]:
        names = {link: unquote(link.removeprefix(folder).rstrip("/")) for link in self._links(folder)}
        return [
            link
            for link, its in names.items()
            if fnmatchcase(its, name) and (name[0] == "." or its[0] != ".")
        ]

    def _links(self, folder: str) -> list[str]:
        """The addresses of what lies in a folder, by its index page."""
        if folder not in self._read:
            try:
                links = sorted(self._filesystem.ls(folder, detail=False))
            except FileNotFoundError as error:
                if folder == self._base:
                    raise
                raise OSError(f"{folder} is linked to, and is not there") from error
            inside = {link: link.removeprefix(folder) for link in links if link.startswith(folder)}
            self._read[folder] = [link for link, rest in inside.items() if _is_direct(rest)]
        return self._read[folder]

    def _info(self, folder: str, link: str) -> Info:
        try:
            return info_on_web(self._filesystem, link)
        except FileNotFoundError as error:
            raise OSError(f"{folder} links to {link}, which is not there") from error


def _is_direct(rest: str) -> bool:
    """Whether the rest of an address is one name.

    >>> [_is_direct(rest) for rest in ("a.jsonl", "deep/", "deep/b.jsonl", "?C=N", "../", "mailto:a@example.org")]
    [True, True, False, False, False, False]
    """
    return bool(rest.rstrip("/")) and not _OTHER_LINK.search(rest.removesuffix("/"))
