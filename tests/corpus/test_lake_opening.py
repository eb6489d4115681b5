"""Opening a lake: by many at once, where it is missing, and where something else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpus.errors import LakeError, UnknownName
from corpus.lake import Lake
from corpus.process import stamp
from tests.corpus.together import run_together


def test_opening_twice_is_opening_once(tmp_path: Path) -> None:
    assert (
        Lake.open(tmp_path / "new" / "lake").root == Lake.open(tmp_path / "new" / "lake", create=False).root
    )


def test_an_empty_folder_is_read_as_a_lake_that_holds_nothing_yet(tmp_path: Path) -> None:
    assert Lake.open(tmp_path, create=False).artifacts("snapshot") == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnknownName, match="there is no lake"):
        Lake.open(tmp_path / "nowhere", create=False)


def test_many_may_make_one_lake_at_once(tmp_path: Path) -> None:
    for attempt in range(20):
        run_together(
            6, lambda number, root=tmp_path / str(attempt): Lake.open(root).commit_task("k", str(number), {})
        )
        lake = Lake.open(tmp_path / str(attempt), create=False)
        assert all(lake.task("k", str(number)) for number in range(6))


def test_a_maker_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".format.json.{stamp()}.tmp").write_text("{")
    assert Lake.open(tmp_path).root == tmp_path


def test_a_lake_is_not_made_where_other_things_are(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LakeError, match="holds other things"):
        Lake.open(tmp_path)
    with pytest.raises(LakeError, match="is a file"):
        Lake.open(tmp_path / "thesis.tex")
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("name", [r"a\b", r"a\[b", r"a*b\c", os.fsdecode(b"caf\xe9")])
@pytest.mark.parametrize("create", [True, False])
def test_a_path_that_sql_cannot_read_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, create: bool
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / name)
    for root in (tmp_path / name, tmp_path / name / "lake", tmp_path / "link" / "lake"):
        with pytest.raises(LakeError, match="backslash or a byte that is not UTF-8") as caught:
            Lake.open(root, create)
        str(caught.value).encode()  # it can be shown
    assert os.listdir(tmp_path) == ["link"]


def test_a_reader_makes_no_lake(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no lake"):
        Lake.open(tmp_path / "lake", create=False)
    assert not (tmp_path / "lake").exists()


def test_a_url_is_refused_by_name() -> None:
    with pytest.raises(LakeError, match="s3://bucket/lake"):
        Lake.open("s3://bucket/lake")


@pytest.mark.parametrize("content", ['{"format": 99}', '{"format": [1]}', "{}", "[]", "{", "", "\xff"])
def test_an_unknown_format_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "format.json").write_text(content, "latin-1")
    for create in (True, False):
        with pytest.raises(LakeError, match="format"):
            Lake.open(tmp_path, create)
