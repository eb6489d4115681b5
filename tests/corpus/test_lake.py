"""The lake: what is committed is found, whole and unchanged; what is not committed does not exist."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import lake as lake_module
from corpus import part as part_module
from corpus import process
from corpus.errors import LakeError, UnknownName
from corpus.lake import FileEntry, Lake, Manifest, artifact_id
from corpus.part import Part
from corpus.process import stamp
from corpus.schema import DATASETS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
IDS = st.text("0123456789abcdef", min_size=1, max_size=4)
PARTS = st.builds(Part, st.just("rejects"), IDS, st.integers(0), st.integers(0), IDS, IDS)
TREES = st.dictionaries(st.text(max_size=4), JSON, max_size=3)
MANIFESTS = st.builds(
    Manifest, st.text(max_size=4), IDS, st.text(max_size=4), st.integers(), TREES,
    st.lists(st.tuples(st.text(max_size=4), IDS), max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=4), st.lists(PARTS, max_size=2).map(tuple), max_size=2),
    st.dictionaries(st.text(max_size=4), st.builds(FileEntry, st.integers(0), IDS), max_size=2), TREES,
)  # fmt: skip


def rejects(count: int = 3) -> pa.Table:
    rows = [
        {"source": "s", "file_hash": "f", "occurrence": 0, "position": i, "reason": "r"} for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=DATASETS["rejects"])


def manifest(lake: Lake, **identity: Any) -> Manifest:
    id = artifact_id("documents", "ingest", 1, identity, [])
    found = lake.write_part("rejects", f"{id}-0", rejects())
    return Manifest("documents", id, "ingest", 1, identity, (), {"rejects": (found,)})


def every_file(lake: Lake) -> list[str]:
    return sorted(path.relative_to(lake.root).as_posix() for path in lake.root.rglob("*") if path.is_file())


# ── identity ──


@given(MANIFESTS)
def test_manifest_to_json_and_back_is_the_identity(manifest: Manifest) -> None:
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


@given(TREES, st.lists(st.tuples(st.text(max_size=3), IDS), max_size=3))
def test_an_id_is_of_kind_operator_version_identity_and_parents(
    identity: dict[str, Any], parents: list[tuple[str, str]]
) -> None:
    id = artifact_id("k", "o", 1, identity, parents)
    assert id == artifact_id("k", "o", 1, dict(reversed(identity.items())), parents)
    others = [
        artifact_id("x", "o", 1, identity, parents), artifact_id("k", "x", 1, identity, parents), artifact_id("k", "o", 2, identity, parents),
        artifact_id("k", "o", 1, {**identity, "a new key": 0}, parents), artifact_id("k", "o", 1, identity, [*parents, ("x", "y")]),
    ]  # fmt: skip
    assert len({id, *others}) == 6


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


def run_together(count: int, work: Callable[[int], Any]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def one(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# ── opening ──


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


# ── damage ──

DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not an object": lambda tree: [tree],
    "a key is gone": lambda tree: {key: value for key, value in tree.items() if key != "parents"},
    "a part without a hash": lambda tree: {
        **tree,
        "datasets": {"rejects": [{"dataset": "rejects", "key": "k"}]},
    },
    "parents of another form": lambda tree: {**tree, "parents": ["documents"]},
    "files of another form": lambda tree: {**tree, "files": {"a": 5}},
    "another format": lambda tree: {**tree, "format": 2},
    "no format": lambda tree: {key: value for key, value in tree.items() if key != "format"},
    "another artifact's": lambda tree: {**tree, "id": "0" * 32},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest_is_a_lake_error_that_names_it(lake: Lake, damage: str) -> None:
    made = lake.commit(manifest(lake))
    path = lake.folder("documents", made.id) / "manifest.json"
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text()))))
    with pytest.raises(LakeError, match=made.id):
        lake.find("documents", made.id)


def test_a_manifest_cut_short_anywhere_is_a_lake_error(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    path = lake.folder("documents", made.id) / "manifest.json"
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(LakeError, match="damaged"):
            lake.get("documents", made.id)


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


def test_a_column_can_be_read_as_a_dictionary(lake: Lake) -> None:
    written = lake.write_part("rejects", "k", rejects(20_000))
    table = lake.read_part(written, ["reason", "position"], dictionary=["reason"])
    assert pa.types.is_dictionary(table.schema.field("reason").type)
    assert table["reason"].cast(pa.string()).equals(rejects(20_000)["reason"])


def test_what_is_not_there_is_an_unknown_name(lake: Lake) -> None:
    assert lake.find("snapshot", "0" * 32) is None and lake.artifacts("snapshot") == []
    with pytest.raises(UnknownName, match="tilth ls snapshot"):
        lake.get("snapshot", "0" * 32)


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


# ── sweeping ──


def test_sweeping_takes_what_the_dead_left_and_nothing_else(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    kept = every_file(lake)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    theirs = stamp().replace(str(os.getpid()), dead.stdout.strip(), 1)
    for folder in (lake.root / ".staging", lake.root / ".scratch"):
        (folder / theirs).mkdir(parents=True)
        (folder / theirs / "file").write_text("left")
    (lake.root / "rejects" / "parts" / f".k.parquet.{theirs}.tmp").write_text("left")
    mine, foreign = lake.stage(), lake.root / ".staging" / "1-00000000-0123456789ab"
    foreign.mkdir()
    (lake.root / "rejects" / "parts" / ".notes.tmp").write_text("somebody's own")
    lake.sweep()
    assert mine.is_dir() and foreign.is_dir()
    assert every_file(lake) == sorted([*kept, "rejects/parts/.notes.tmp"])
    assert lake.get("documents", made.id) == made


def test_sweeping_leaves_what_a_living_process_made_long_ago(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lake.scratch()
    lake.sweep(older_than_seconds=-1)
    assert mine.is_dir()  # a fold may take days, in which it touches its folder once
    long_before = time.time() - 100_000
    os.utime(mine, (long_before,) * 2)
    lake.sweep()
    assert not mine.exists()  # made before this process was: by another of the same number
    mine = lake.scratch()
    os.utime(mine, (long_before,) * 2)
    monkeypatch.setattr(process, "_start_time", lambda pid: long_before - 1)
    lake.sweep()
    assert mine.is_dir()


def test_sweeping_takes_what_anyone_left_long_ago(lake: Lake) -> None:
    foreign = lake.root / ".staging" / "1-00000000-0123456789ab"
    foreign.mkdir(parents=True)
    os.utime(foreign, (time.time() - 100_000,) * 2)
    lake.sweep()
    assert not foreign.exists()
