"""A source's local path → the paths of its files: a file, a folder, a glob, alternatives in braces, all found by one walk.

Links are followed and a folder is read once, so a loop of links ends. What cannot be listed is an error, never skipped.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from corpus.errors import ConfigError, SourceError, did_you_mean

Pattern = tuple[
    str, ...
]  # what the names of folders match, and at last the file's; `**` is any number of folders
Tell = Callable[[str], object]
_EVERYTHING: Pattern = ("**",)
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def find_paths(
    path: str, root: str, apart: Path | None = None, tell_dead: Tell = lambda path: None
) -> dict[str, os.stat_result]:
    """The regular files at a path that starts at `root`, by path. Names that start with a dot are found only by their own.

    Nothing is found below the folder `apart`, and links that lead nowhere are told. ConfigError where the path matches
    nothing, or leads into that folder.
    """
    walk = _Walk(apart)
    found: set[str] = set()
    literal = os.path.abspath(os.path.join(root, path))
    for base, pattern in [(literal, ())] if os.path.exists(literal) else _places(path, root):
        if walk.is_apart(base):
            raise ConfigError(
                f"the path {path!r} leads into the lake {apart}. Give where the data came from."
            )
        found.update(walk.find(base, pattern or _EVERYTHING) if pattern or os.path.isdir(base) else [base])
    dead: list[str] = []
    files = {name: about for name in sorted(found) if (about := _regular(name, dead.append))}
    if not files and not os.path.isdir(literal):
        raise ConfigError(
            f"the path {path!r} matches no file. {_nearest(literal, dead)}{_about_variables(path)}"
        )
    for link in dead:
        tell_dead(link)
    return files


def _regular(path: str, tell_dead: Tell) -> os.stat_result | None:
    """What the system knows of a regular file, None for anything else: a pipe would be waited on for ever."""
    try:
        about = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # gone, or a link that leads nowhere
            if os.path.islink(path):
                tell_dead(path)
            return None
        raise _unreadable(path, error) from error
    return about if stat.S_ISREG(about.st_mode) else None


def _unreadable(path: str, error: OSError) -> SourceError:
    return SourceError(f"cannot read {path}: {error.strerror or error}. Make it readable and run again.")


def alternatives(pattern: str) -> list[str]:
    """What a pattern with alternatives in braces stands for.

    >>> alternatives("{train,test}/*.{md,txt}")
    ['train/*.md', 'train/*.txt', 'test/*.md', 'test/*.txt']
    """
    found = _BRACES.search(pattern)
    if not found:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for part in found[1].split(",") for one in alternatives(f"{before}{part}{after}")]


def _places(path: str, root: str) -> Iterator[tuple[str, Pattern]]:
    """Where to begin, and what to match from there; of `root` every name stands for itself."""
    for one in alternatives(path):
        names = [name for name in one.split("/") if name not in ("", ".")]
        literal = next((i for i, name in enumerate(names) if glob.has_magic(name)), len(names))
        base = os.path.join("/" if os.path.isabs(one) else root, *names[:literal])
        yield os.path.abspath(base), tuple(names[literal:])


class _Walk:
    """Finds what matches, and remembers which folders were read for which pattern."""

    def __init__(self, apart: Path | None):
        self._apart = os.path.realpath(apart) if apart else None
        self._read: set[tuple[int, int, Pattern]] = set()

    def is_apart(self, path: str) -> bool:
        return self._apart is not None and f"{os.path.realpath(path)}/".startswith(f"{self._apart}/")

    def find(self, base: str, pattern: Pattern) -> Iterator[str]:
        places = [(base, pattern)]
        while places:
            folder, pattern = places.pop()
            try:
                if not self._is_new(folder, pattern):
                    continue
                matching = sorted(_matching(folder, pattern[0]), reverse=True)
            except (FileNotFoundError, NotADirectoryError):
                if os.path.islink(folder):
                    yield folder
                continue
            except OSError as error:
                raise _unreadable(folder, error) from error
            if pattern[0] == "**":
                places.append((folder, pattern[1:] or ("*",)))
                places += [(path, pattern) for path, is_folder in matching if is_folder]
            elif len(pattern) > 1:
                places += [(path, pattern[1:]) for path, is_folder in matching if is_folder]
                yield from (path for path, is_folder in matching if not is_folder and _is_dead_link(path))
            else:
                yield from (path for path, _ in matching)

    def _is_new(self, folder: str, pattern: Pattern) -> bool:
        about = os.stat(folder)
        read = (about.st_dev, about.st_ino, pattern)
        if read in self._read or self.is_apart(folder):
            return False
        self._read.add(read)
        return True


def _matching(folder: str, name: str) -> Iterator[tuple[str, bool]]:
    """What in a folder has this name or matches it, and whether it is a folder."""
    if not glob.has_magic(name):
        path = os.path.join(folder, name)
        os.lstat(path)  # FileNotFoundError where there is none; what may not be looked at is no such case
        yield path, os.path.isdir(path)
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if fnmatchcase(entry.name, name) and (name[0] == "." or entry.name[0] != "."):
                yield entry.path, _is_folder(entry)


def _is_dead_link(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _nearest(where: str, dead: list[str]) -> str:
    """What there is instead, in the nearest folder that exists, and what to write."""
    folder = Path(where)
    while not folder.is_dir():
        missing, folder = folder.name, folder.parent
    if dead or _is_dead_link(os.path.join(folder, missing)):
        return _dead_links(dead or [os.path.join(folder, missing)])
    if glob.has_magic(missing) or _BRACES.search(missing):
        return f"{folder} exists, but nothing in it matches {missing!r}. A folder, a file, a glob such as '**/*.jsonl' or a URL can be given."
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise _unreadable(str(folder), error) from error
    if missing in names:
        return f"{missing!r} in {folder} is no file and no folder. Give one that holds text."
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
    return f"{folder} exists and holds {listed}; there is no {missing!r} in it.{did_you_mean(missing, names)}"


def _about_variables(path: str) -> str:
    return " Only the catalog's root fills in ${VARIABLES}, a path does not." if "${" in path else ""


def _dead_links(links: list[str]) -> str:
    count = "There is a link that leads" if len(links) == 1 else f"There are {len(links):,} links that lead"
    such_as = ", such as" if len(links) > 1 else ":"
    return f"{count} nowhere{such_as} {links[0]!r} (to {os.readlink(links[0])!r}). Put back what was there, or give another path."
