"""The lake: what is committed is found, whole and unchanged, also where many commit it; what is not committed does not exist."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pytest

from corpus import lake as lake_module
from corpus import part as part_module
from corpus.errors import LakeError, UnknownName
from corpus.lake import Lake, Manifest
from tests.corpus.small_artifact import every_file, manifest, rejects
from tests.corpus.together import run_together


def test_what_is_committed_is_what_is_found(lake: Lake) -> None:
    made = lake.commit(manifest(lake, a=[1, 2.5, None], b={"c": "ü"}))
    again = Lake.open(lake.root)
    assert again.find("documents", made.id) == again.get("documents", made.id) == made
    assert again.artifacts("documents") == [made]
    assert again.read_part(made.parts("rejects")[0]).equals(rejects())
    assert made.rows("rejects") == 3 and made.parts("documents") == ()


def test_circumstance_stands_beside_the_manifest(lake: Lake) -> None:
    made = lake.commit(manifest(lake), context={"workers": 2})
    folder = lake.folder("documents", made.id)
    context = json.loads((folder / "context.json").read_text())
    assert {"time_utc", "host", "pid", "python"} < context.keys() and context["workers"] == 2
    assert not {"time_utc", "host", "pid", "workers"} & set((folder / "manifest.json").read_text().split('"'))


def test_committing_what_exists_returns_what_exists(lake: Lake) -> None:
    first = lake.commit(Manifest(**{**manifest(lake).__dict__, "summary": {"by": "first"}}))
    second = lake.commit(Manifest(**{**manifest(lake).__dict__, "summary": {"by": "second"}}))
    assert second == first and second.summary == {"by": "first"}
    assert list((lake.root / ".staging").iterdir()) == []


def test_staged_files_are_committed_with_their_hashes(lake: Lake) -> None:
    staged = lake.stage()
    (staged / "sub").mkdir()
    (staged / "sub" / "a.txt").write_text("hello")
    made = lake.commit(manifest(lake), staged)
    assert list(made.files) == ["sub/a.txt"] and made.files["sub/a.txt"].bytes == 5
    assert (lake.folder("documents", made.id) / "files" / "sub" / "a.txt").read_text() == "hello"
    assert list((lake.root / ".staging").iterdir()) == []


@pytest.mark.parametrize("change", [b"", b"hell", b"hellO", b"hello!", None])
def test_files_are_what_was_committed_or_a_lake_error(lake: Lake, change: bytes | None) -> None:
    staged = lake.stage()
    (staged / "sub").mkdir()
    path = staged / "sub" / "a.txt"
    path.write_text("hello")
    made = lake.commit(manifest(lake), staged)
    path = lake.files(made) / "sub" / "a.txt"
    assert path.read_text() == "hello"
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change)
    with pytest.raises(LakeError, match=r"sub/a\.txt is missing or damaged.*it is made again"):
        lake.files(made)


def test_a_moved_lake_is_the_same_lake(lake: Lake, tmp_path: Path) -> None:
    made = lake.commit(manifest(lake))
    lake.root.rename(tmp_path / "elsewhere")
    moved = Lake.open(tmp_path / "elsewhere")
    assert moved.get("documents", made.id) == made and moved.read_part(made.parts("rejects")[0]).num_rows == 3


def test_a_task_record_is_found_as_it_was_committed(lake: Lake) -> None:
    assert lake.task("ingest", "k") is None
    written = lake.write_part("rejects", "k", rejects())
    record = lake.commit_task("ingest", "k", {"rejects": [written], "documents": []}, {"files": 1})
    assert lake.task("ingest", "k") == record and record.parts == {"rejects": (written,), "documents": ()}


def test_many_writers_of_one_artifact_all_get_the_same(lake: Lake) -> None:
    found: list[Manifest] = []
    run_together(8, lambda number: found.append(lake.commit(manifest(lake, a=1))))
    assert len(found) == 8 and len({made.id for made in found}) == 1
    assert [name for name in every_file(lake) if ".tmp" in name or ".staging" in name] == []


def test_of_many_creators_one_wins_and_readers_see_it_whole(lake: Lake) -> None:
    won: list[int] = []
    run_together(
        8,
        lambda number: (
            won.append(number) if lake.create_json(lake.root / "one.json", {"by": number}) else None
        ),
    )
    assert len(won) == 1 and json.loads((lake.root / "one.json").read_text()) == {"by": won[0]}


def test_what_is_not_there_is_an_unknown_name(lake: Lake) -> None:
    assert lake.find("snapshot", "0" * 32) is None and lake.artifacts("snapshot") == []
    with pytest.raises(UnknownName, match="tilth ls snapshot"):
        lake.get("snapshot", "0" * 32)


def test_a_column_can_be_read_as_a_dictionary(lake: Lake) -> None:
    written = lake.write_part("rejects", "k", rejects(20_000))
    table = lake.read_part(written, ["reason", "position"], dictionary=["reason"])
    assert pa.types.is_dictionary(table.schema.field("reason").type)
    assert table["reason"].cast(pa.string()).equals(rejects(20_000)["reason"])


# ── what went wrong ──


def test_an_artifact_whose_manifest_was_deleted_is_made_again(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    folder = lake.folder("documents", made.id)
    (folder / "files").mkdir()
    (folder / "files" / "left").write_text("over")
    (folder / "manifest.json").unlink()
    assert lake.commit(manifest(lake)) == made
    assert sorted(path.name for path in folder.iterdir()) == ["context.json", "manifest.json"]


def test_many_who_find_an_artifact_without_manifest_all_get_it(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    (lake.folder("documents", made.id) / "manifest.json").unlink()
    found: list[Manifest] = []
    run_together(8, lambda number: found.append(lake.commit(made)))
    assert found == [made] * 8


def test_one_that_another_writer_moved_away_in_between_is_committed_all_the_same(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lake.commit(manifest(lake))
    home = lake.folder("documents", made.id)
    (home / "manifest.json").unlink()
    publish, refusals = lake_module.publish, []

    def refuse_once(staging: Path, path: Path) -> None:
        try:
            publish(staging, path)
        except OSError as error:
            refusals.append(error)
            os.rename(home, lake.stage() / "moved")
            raise

    monkeypatch.setattr(lake_module, "publish", refuse_once)
    assert lake.commit(made) == made and len(refusals) == 1


def test_a_damaged_task_is_a_lake_error(lake: Lake) -> None:
    lake.commit_task("ingest", "k", {})
    for content in ("{", "[]", '{"parts": {}}', '{"parts": {"a": [1]}, "tally": {}}'):
        (lake.root / "tasks" / "ingest" / "k.json").write_text(content)
        with pytest.raises(LakeError, match=r"k\.json is damaged"):
            lake.task("ingest", "k")


def test_a_part_that_is_gone_or_cut_short_is_a_lake_error(lake: Lake) -> None:
    written = lake.write_part("rejects", "k", rejects())
    path = lake.path_of(written)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LakeError, match="rejects/k is missing or damaged"):
        lake.read_part(written)
    path.unlink()
    with pytest.raises(LakeError, match="rejects/k is missing or damaged"):
        lake.read_part(written)


@pytest.mark.parametrize("dataset", ["rejects", "documents"])
def test_no_flipped_bit_gives_other_rows(lake: Lake, dataset: str) -> None:
    rows = rejects(300) if dataset == "rejects" else pa.table({"doc_id": [f"{i:032x}" for i in range(300)], "text": [f"text {i} " * 9 for i in range(300)]})  # fmt: skip
    written = lake.write_part(dataset, "k", rows)
    path, whole = lake.path_of(written), lake.read_part(written)
    data, draw = path.read_bytes(), random.Random(7)
    for _ in range(1000):
        place = draw.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :])
        try:
            read = lake.read_part(written, whole.column_names)
        except LakeError:
            continue
        assert read.equals(whole)


def test_a_disk_error_while_committing_is_clear_and_commits_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = manifest(lake)

    def refuse(staging: Path, path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(part_module.os, "replace", refuse)
    with pytest.raises(LakeError, match=r"cannot write .*Operation not permitted\. Make the lake writable"):
        lake.commit(wanted)
    with pytest.raises(LakeError, match="cannot write"):
        lake.commit_task("k", "k", {})
    monkeypatch.undo()
    assert lake.find("documents", wanted.id) is None and lake.task("k", "k") is None
    assert [name for name in every_file(lake) if ".tmp" in name or ".staging" in name] == []
