"""Files behind a web server: with and without Range, folders by their index pages, and errors that are not the files'."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import ConfigError, SourceError
from corpus.files import HashCache, check_unchanged, list_files
from corpus.lake import Lake
from corpus.readers import Reading, Record, read_records
from tests.corpus.reading import read, rejects, rows

pytest.importorskip("aiohttp")

TEXTS = [f"row {i} " + "x" * 300 for i in range(200)]


class Plain(http.server.SimpleHTTPRequestHandler):
    """`python -m http.server`: no Range, an index page for a folder."""

    broken: bytes | None = None  # what is asked for by a Range when the server begins to fail

    def log_message(self, *args: Any) -> None:
        pass


class Untyped(Plain):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Content-type":
            super().send_header(keyword, value)


class Html(Plain):
    def guess_type(self, path: Any) -> str:
        return "text/html"


class Unsized(Plain):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Content-Length":
            super().send_header(keyword, value)


class Headless(Plain):
    def do_HEAD(self) -> None:
        self.send_error(405)


class Ranged(Plain):
    """Sends the piece that is asked for."""

    def send_head(self) -> BytesIO | BinaryIO | None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not asked or path.is_dir():
            return super().send_head()
        content = path.read_bytes()
        piece = content[int(asked[1]) : int(asked[2]) + 1]
        return self.send_piece(int(asked[1]), piece, len(content))

    def send_piece(self, start: int, piece: bytes, of: int) -> BytesIO | None:
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{of}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        return BytesIO(piece)


class Failing(Ranged):
    """Sends the end of a file, and 500 for the rest of it."""

    def send_piece(self, start: int, piece: bytes, of: int) -> BytesIO | None:
        if start > of - 100_000:
            return super().send_piece(start, piece, of)
        self.send_error(500)
        return None


class CutOff(Ranged):
    """Sends the end of a file, and of what lies before it a few bytes, without saying how many."""

    def send_piece(self, start: int, piece: bytes, of: int) -> BytesIO | None:
        if start > of - 100_000:
            return super().send_piece(start, piece, of)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{of}")
        self.end_headers()
        return BytesIO(piece[:10])


class HalfSent(Plain):
    """Closes in the middle of a file, of which it has said no length but to HEAD."""

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(kind)`: the address of `tmp_path`/web behind such a server, always the same one."""
    (tmp_path / "web").mkdir()
    running: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

    def stop() -> None:
        for server, thread in running:
            server.shutdown()
            server.server_close()
            thread.join()
        running.clear()

    port = 0

    def serve(kind: type[http.server.SimpleHTTPRequestHandler]) -> str:
        nonlocal port
        stop()
        handler = functools.partial(kind, directory=str(tmp_path / "web"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{port}"

    yield serve
    stop()


@pytest.fixture
def web(tmp_path: Path, serve: Serve) -> Path:
    return tmp_path / "web"


def put_parquet(path: Path, texts: list[str] = TEXTS, pack: Callable[[bytes], bytes] = bytes) -> None:
    buffer = BytesIO()
    pq.write_table(
        pa.table({"text": texts}), buffer, row_group_size=50, compression="none", use_dictionary=False
    )
    path.write_bytes(pack(buffer.getvalue()))


def lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def texts_at(url: str) -> list[Any]:
    return [
        item.text if isinstance(item, Record) else item.reason
        for ref in list_files(url)
        for item in read_records(ref, Reading())
    ]


EVERY = [Plain, Untyped, Html, Unsized, Headless, Ranged]


@pytest.mark.parametrize("server", EVERY)
@pytest.mark.parametrize("name", ["a.parquet", "a.parquet.gz", "a.jsonl", "a.jsonl.gz"])
def test_every_server_gives_the_same_documents(serve: Serve, web: Path, server: Any, name: str) -> None:
    texts = ['a page: <a href="b.html">b</a>', *TEXTS]
    pack = gzip.compress if name.endswith("gz") else bytes
    if "parquet" in name:
        put_parquet(web / name, texts, pack)
    else:
        (web / name).write_bytes(pack(lines(texts)))
    assert texts_at(f"{serve(server)}/{name}") == texts


@pytest.mark.parametrize("server", [Plain, Ranged])
def test_a_file_larger_than_what_is_fetched_at_once(
    serve: Serve, web: Path, tmp_path: Path, server: Any
) -> None:
    texts = [f"{i} " + "x" * 4000 for i in range(4000)]
    (web / "a.jsonl").write_bytes(lines(texts))
    put_parquet(web / "a.parquet", texts)
    for name in ("a.jsonl", "a.parquet"):
        assert texts_at(f"{serve(server)}/{name}") == texts


def test_a_lake_holds_the_same_whatever_the_server_can(serve: Serve, web: Path, tmp_path: Path) -> None:
    put_parquet(web / "a.parquet")
    ids = set()
    for number, server in enumerate((Plain, Ranged)):
        lake = Lake(tmp_path / f"lake{number}")
        made = read(lake, f"{serve(server)}/a.parquet")  # type: ignore[arg-type]  # a URL is a path here
        assert [row["text"] for row in rows(lake, made)] == TEXTS
        assert rejects(lake, made) == []
        ids.add(made.id)
    assert len(ids) == 1


@pytest.mark.parametrize("server", [Failing, CutOff])
def test_what_the_network_says_is_no_damage(serve: Serve, web: Path, server: Any) -> None:
    put_parquet(web / "a.parquet", TEXTS * 20)
    url = f"{serve(Ranged)}/a.parquet"
    [ref] = list_files(url)
    serve(server)
    with pytest.raises(SourceError, match=rf"cannot read {url}"):
        list(read_records(ref, Reading()))


def test_a_file_that_ends_early_is_not_its_content(serve: Serve, web: Path, tmp_path: Path) -> None:
    (web / "a.jsonl").write_bytes(lines(TEXTS))
    [ref] = list_files(f"{serve(HalfSent)}/a.jsonl")
    for use in (HashCache(tmp_path / "cache").hash_of, lambda ref: list(read_records(ref, Reading()))):
        with pytest.raises(SourceError, match=r"cannot read .*a\.jsonl: .* of its .* bytes"):
            use(ref)


def test_damage_over_the_web_is_the_file_s(serve: Serve, web: Path) -> None:
    put_parquet(web / "a.parquet")
    whole = (web / "a.parquet").read_bytes()
    (web / "short.parquet").write_bytes(whole[:-100])
    (web / "short.parquet.gz").write_bytes(gzip.compress(whole)[:-100])
    for server in (Plain, Ranged):
        assert texts_at(f"{serve(server)}/short.parquet") == ["corrupt_file"]
        assert texts_at(f"{serve(server)}/short.parquet.gz") == ["truncated_file"]


def test_a_server_that_is_down_or_lacks_the_file_is_told_as_such(serve: Serve, web: Path) -> None:
    (web / "a.jsonl").write_bytes(lines(TEXTS))
    url = serve(Plain)
    [ref] = list_files(f"{url}/a.jsonl")
    with pytest.raises(ConfigError, match="matches no file"):
        list_files(f"{url}/b.jsonl")
    (web / "a.jsonl").unlink()
    with pytest.raises(SourceError, match="is gone"):
        check_unchanged(ref)

    class Down(Plain):
        def send_head(self) -> None:
            self.send_error(503)

    serve(Down)
    with pytest.raises(SourceError, match=r"cannot read .*503"):
        check_unchanged(ref)
    with pytest.raises(ConfigError, match=r"cannot list .*503"):
        list_files(ref.path)
    with pytest.raises(ConfigError, match=r"cannot list .*Connect"):
        list_files("http://127.0.0.1:1/a.jsonl")


# ── folders and globs ──


@pytest.fixture
def many(web: Path) -> list[str]:
    names = ["a.jsonl", "b c.jsonl", "deep/d.jsonl", "deep/er/e.jsonl.gz", "deep/er/f.txt"]
    for name in [*names, ".hidden.jsonl", ".git/g.jsonl"]:
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_bytes((gzip.compress if name.endswith("gz") else bytes)(lines([name])))
    return [name.replace(" ", "%20") for name in names]


@pytest.mark.parametrize("server", [Plain, Ranged, Untyped, Unsized])
@pytest.mark.parametrize(
    ("path", "found"),
    [("", [0, 1, 2, 3, 4]), ("deep/", [2, 3, 4]), ("deep", [2, 3, 4]), ("*.jsonl", [0, 1]), ("b*.jsonl", [1]), ("**/*.jsonl*", [0, 1, 2, 3]), ("*/*.jsonl", [2]),
     ("deep/**/*.{txt,gz}", [3, 4]), ("*/er/e.jsonl.gz", [3]), ("[ab]*", [0, 1])],
)  # fmt: skip
def test_folders_and_globs(serve: Serve, many: list[str], server: Any, path: str, found: list[int]) -> None:
    url = serve(server)
    refs = list_files(path, url + "/")
    assert [ref.path for ref in refs] == [f"{url}/{many[i]}" for i in found]
    for ref in refs:
        check_unchanged(ref)


def test_a_folder_is_read(serve: Serve, many: list[str], tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    made = read(lake, f"{serve(Plain)}/deep/")  # type: ignore[arg-type]  # a URL is a path here
    assert sorted(row["text"] for row in rows(lake, made))[0] == "deep/d.jsonl"


@pytest.mark.parametrize(
    ("path", "found"),
    [("my%20laws*/*.jsonl", [0, 1]), ("*/%C3%A9*", [1]), ("my*/%5B1%5D*", [0]), ("my*/%5b[12]*", [0]), ("my*/[%C3%A9]*", [1])],
)  # fmt: skip
def test_names_are_quoted_in_a_pattern_as_in_an_address(
    serve: Serve, web: Path, path: str, found: list[int]
) -> None:
    (web / "my laws 1").mkdir()
    names = ["[1].jsonl", "é.jsonl"]
    for name in [*names, "1.jsonl.txt"]:
        (web / "my laws 1" / name).write_bytes(lines([name]))
    url = serve(Plain)
    assert [ref.path for ref in list_files(f"{url}/{path}")] == [f"{url}/my%20laws%201/{quote(names[i])}" for i in found]  # fmt: skip


@pytest.mark.parametrize("query", ["a[]=1", "of=*", "in=laws/", "of=*/.b/", "in=/"])
def test_an_address_with_a_query_is_a_file(serve: Serve, web: Path, query: str) -> None:
    (web / "a.jsonl").write_bytes(lines(["a"]))
    url = f"{serve(Plain)}/a.jsonl?{query}"
    [ref] = list_files(url)
    check_unchanged(ref)
    assert [item.text for item in read_records(ref, Reading(format="jsonl")) if isinstance(item, Record)] == ["a"]  # fmt: skip
    with pytest.raises(ConfigError, match=r"matches no file. Check the address\.$"):
        list_files(url.replace("a.jsonl", "b.jsonl"))


def test_links_of_an_index_page_that_lead_elsewhere_are_no_files(serve: Serve, web: Path) -> None:
    (web / "in").mkdir()
    (web / "in" / "a.jsonl").write_bytes(lines(["a"]))
    (web / "b.jsonl").write_bytes(lines(["b"]))
    (web / "in" / "law:b.").write_bytes(lines(["b"]))
    links = ("?C=N;O=D", "../", "/", "../b.jsonl", "/b.jsonl", "#top", "mailto:me@example.org", "javascript:void(0)", "https://example.org/c.jsonl", "a.jsonl", "law:b.", "./")  # fmt: skip
    (web / "in" / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    url = serve(Plain)
    for path in ("in/", "in/*", "in/**"):
        assert [ref.path for ref in list_files(f"{url}/{path}")] == [
            f"{url}/in/a.jsonl",
            f"{url}/in/law:b.",
        ]


def test_a_glob_without_an_index_page_says_that_it_needs_one(serve: Serve, web: Path) -> None:
    class NoIndex(Plain):
        def list_directory(self, path: Any) -> None:
            self.send_error(404)

    (web / "a.jsonl").write_bytes(lines(["a"]))
    for path in ("*.jsonl", ""):
        with pytest.raises(ConfigError, match=r"matches no file.*index page"):
            list_files(f"{serve(NoIndex)}/{path}")
