"""Files: what a path, folder or glob finds, and that they are as they were found."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

from corpus.errors import ConfigError, SourceError
from corpus.files import Content, FileRef, HashCache, check_unchanged, list_files
from tests.corpus.file_writing import write_file


def names(refs: list[FileRef], folder: Path) -> list[str]:
    return [os.path.relpath(ref.path, folder) for ref in refs]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.jsonl",
        "a.txt",
        "deep/er/c.md",
        "deep/d.txt",
        ".hidden",
        ".git/config",
        "deep/.cache/e.txt",
    ):
        write_file(tmp_path / name)
    return tmp_path


def test_a_folder_gives_every_file_below_it_sorted_and_nothing_hidden(tree: Path) -> None:
    assert names(list_files("", tree), tree) == ["a.txt", "b.jsonl", "deep/d.txt", "deep/er/c.md"]
    assert list_files(str(tree)) == list_files(".", tree) == list_files(f"file://{tree}")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("a.txt", ["a.txt"]), ("*.txt", ["a.txt"]), ("**/*.txt", ["a.txt", "deep/d.txt"]), ("**", ["a.txt", "b.jsonl", "deep/d.txt", "deep/er/c.md"]),
     ("deep/**/*", ["deep/d.txt", "deep/er/c.md"]), ("{a.txt,deep}", ["a.txt", "deep/d.txt", "deep/er/c.md"]), ("**/*.{md,jsonl}", ["b.jsonl", "deep/er/c.md"]),
     ("{deep/{er,none}/*,[ab].txt}", ["a.txt", "deep/er/c.md"]), ("deep/../*.txt", ["a.txt"]), ("*/er/c.md", ["deep/er/c.md"]), (".git/*", [".git/config"]), ("*/.cache/*", ["deep/.cache/e.txt"]),
     ("[ab].*", ["a.txt", "b.jsonl"]), ("deep", ["deep/d.txt", "deep/er/c.md"])],
)  # fmt: skip
def test_files_and_globs(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(list_files(pattern, tree), tree) == found


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    write_file(tmp_path / "data[1].txt")
    assert names(list_files("data[1].txt", tmp_path), tmp_path) == ["data[1].txt"]


def test_links_are_followed_once_and_pipes_and_dead_links_are_no_files(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    (tree / "dead").symlink_to(tree / "nowhere")
    os.mkfifo(tree / "pipe")
    outside = write_file(tree.parent / uuid.uuid4().hex / "far.txt")
    (tree / "linked").symlink_to(outside.parent)
    assert names(list_files("", tree), tree) == [
        "a.txt",
        "b.jsonl",
        "deep/d.txt",
        "deep/er/c.md",
        "linked/far.txt",
    ]


@pytest.mark.parametrize("pattern", ["", "**", "**/*.txt", "**/**/*.txt", "*/**/*.txt"])
def test_loops_of_links_end(tmp_path: Path, pattern: str) -> None:
    write_file(tmp_path / "a" / "one.txt")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "to_itself.txt").symlink_to(tmp_path / "a" / "to_itself.txt")
    assert names(list_files(pattern, tmp_path), tmp_path) == ["a/one.txt"]


@pytest.mark.parametrize("pattern", ["", "**/*.txt", "*/*.txt", "*/no/*.txt"])
def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "a.txt")
    write_file(tmp_path / "closed" / "b.txt")

    def refuse(path: str, call: Any = os.scandir) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return call(path)

    def refuse_stat(path: str, call: Any = os.stat, **keywords: Any) -> Any:
        if "closed/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return call(path, **keywords)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "lstat", refuse_stat)
    with pytest.raises(SourceError, match=r"cannot read .*closed.*: Permission denied"):
        list_files(pattern, tmp_path)


def test_what_lies_below_the_lake_is_no_source(tree: Path) -> None:
    lake = tree / "deep" / "lake"
    write_file(lake / "documents" / "parts" / "p.txt")
    (tree / "link").symlink_to(lake / "documents")
    for pattern in ("", "**/*.txt", "{deep,a.txt}"):
        found = names(list_files(pattern, tree, lake), tree)
        assert found == [name for name in names(list_files(pattern, tree), tree) if "p.txt" not in name] != []
    for inside in ("deep/lake", "deep/lake/documents/*", "link", "deep/lake/documents/parts/p.txt"):
        with pytest.raises(ConfigError, match=r"leads into the lake .*deep/lake"):
            list_files(inside, tree, lake)
    with pytest.raises(ConfigError, match="matches no file"):
        list_files("deep/*/documents/parts/*", tree, lake)
    assert names(list_files("deep", tree, lake), tree) == ["deep/d.txt", "deep/er/c.md"]


def test_the_root_is_no_pattern(tmp_path: Path) -> None:
    write_file(tmp_path / "data[1]{a,b}" / "x.txt")
    write_file(tmp_path / "data1a" / "y.txt")
    assert names(list_files("*.txt", tmp_path / "data[1]{a,b}"), tmp_path) == ["data[1]{a,b}/x.txt"]


def test_an_empty_folder_is_an_empty_source(tmp_path: Path) -> None:
    assert list_files(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [("deep/dd.txt", "deep exists and holds d.txt, er; there is no 'dd.txt' in it. Did you mean 'd.txt'?"), ("*.xml", "nothing in it matches '*.xml'"),
     ("nowhere/at/all.txt", "there is no 'nowhere' in it"), ("nowhere/*.txt", "there is no 'nowhere'"), ("d*p", "nothing in it matches"), ("${NOPE}/man", "Only the catalog's root fills in ${VARIABLES}"), ("deep/x-${NOPE}/*.txt", "Only the catalog's root"), ("deep/*${NOPE}", "Only the catalog's root"), ("${NOPE:-/data}/man", "Only the catalog's root"), ("{x,y}.txt", "nothing in it matches '{x,y}.txt'"), ("qq://a/b", "unknown protocol 'qq'"), ("memory://nothing/*.txt", "matches no file")],
)  # fmt: skip
def test_what_is_not_there_is_one_clear_error(tree: Path, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list_files(path, tree)
    assert message in str(caught.value)
    assert path.split("/")[-1] in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["acts.jsonl", "*.jsonl", "*", "**/*.jsonl", "{acts,none}.jsonl", "acts.jsonl/*", "acts.jsonl/a.jsonl", "acts.jsonl/deep/**", "*/a.jsonl", "**/acts.jsonl/*"],
)  # fmt: skip
@pytest.mark.parametrize("leads_to", ["nowhere/at/all", "acts.jsonl"])
def test_where_only_dead_links_match_they_are_named(tmp_path: Path, path: str, leads_to: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "acts.jsonl").symlink_to(leads_to)
    (tmp_path / "none.txt").touch()
    with pytest.raises((ConfigError, SourceError)) as caught:
        list_files(f"in/{path}", tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "in" / "acts.jsonl") in message
    assert "a link that leads nowhere" in message or "Too many levels of symbolic links" in message
    assert "there is no" not in message and "nothing in it" not in message


def test_dead_links_beside_files_are_told_also_where_a_folder_was_wanted(tree: Path) -> None:
    (tree / "gone.txt").symlink_to("nowhere")
    (tree / "lost").symlink_to("nowhere")
    told: list[str] = []
    assert names(list_files("{*.txt,*/d.txt,lost/*}", tree, None, told.append), tree) == [
        "a.txt",
        "deep/d.txt",
    ]
    assert [os.path.basename(path) for path in told] == ["gone.txt", "lost"]


def test_a_pipe_is_said_to_be_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"'pipe' in .* is no file and no folder"):
        list_files("pipe", tmp_path)


def test_a_protocol_without_its_package_says_what_to_install() -> None:
    message = "Please install package_that_is_not_there"
    fsspec.register_implementation(
        "absent", "package_that_is_not_there.FileSystem", clobber=True, errtxt=message
    )
    with pytest.raises(
        ConfigError, match=r"needs a package that is not installed: .*package_that_is_not_there"
    ):
        list_files("absent://bucket/a.jsonl")


def test_a_change_or_a_loss_while_reading_is_a_source_error(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.txt", "one", age_s=10)
    [ref] = list_files(str(path))
    check_unchanged(ref)
    write_file(path, "three")
    with pytest.raises(SourceError, match="changed while it was read"):
        check_unchanged(ref)
    path.unlink()
    for use in (check_unchanged, HashCache(tmp_path / "cache").hash_of, lambda ref: list(Content(ref))):
        with pytest.raises(SourceError, match="is gone"):
            use(ref)
