"""A hub that lies, stalls or fails: one line each, nothing outside the cache, nothing incomplete in it."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from anybind import BadInput, hub, transfer
from anybind.errors import BadOption
from helpers.disk import limit_file_size
from helpers.hub import COMMIT, FakeHub, Handler, send, serve_hub

CONTENT = bytes(range(256)) * 1000
FILES = {"model.safetensors": CONTENT, "config.json": b'{"a": 1}'}
Answer = Callable[[Handler, bytes], None]


@dataclass
class Site:
    """A fake hub, and the folder whose subfolder `cache` is the only one that a download may change."""

    hub: FakeHub
    folder: Path

    def fetch(self, file: str = "model.safetensors", revision: str | None = None) -> Path:
        return hub.find_weights_file("org/repo", file=file, revision=revision)

    def refuse(self, file: str = "model.safetensors", revision: str | None = None) -> str:
        """Return the message of a failing download, after checking that it left nothing behind as complete."""
        with pytest.raises(BadInput, match=r"^cannot (fetch org/repo|write) .*$") as caught:
            self.fetch(file, revision)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        assert self.list_files() == []
        return str(caught.value)

    def list_files(self) -> list[str]:
        """Return the files that a later run would take for complete, and all files outside the cache."""
        inside = ("/blobs/", "/snapshots/", "/refs/")
        files = [path for path in self.folder.rglob("*") if path.is_file() or path.is_symlink()]
        names = [path.relative_to(self.folder).as_posix() for path in files]
        return [
            name
            for name in names
            if (not name.startswith("cache/") or any(part in name for part in inside))
            and not name.endswith(".incomplete")
        ]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve a repository, with short time limits and a token."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv(transfer.TIMEOUT_VARIABLE, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    folder = tmp_path / "machine"
    (folder / "cache").mkdir(parents=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "cache"))
    with serve_hub({"org/repo": FILES}) as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        yield Site(served, folder)


def send_raw(*parts: bytes, pause: float = 0.0, forever: bytes = b"") -> Answer:
    """Return an answer of these bytes, headers included, and then of others without end."""

    def answer(handler: Handler, content: bytes) -> None:
        for part in parts:
            handler.wfile.write(part)
        ended = time.monotonic() + 20  # in case the client is the one that waits without end
        while forever and time.monotonic() < ended:
            handler.wfile.write(forever)
            time.sleep(pause)
        handler.close_connection = True

    return answer


def redirect(target: str) -> Answer:
    return lambda handler, content: send(handler, 302, b"", Location=target)


def answer_with(change: Callable[[bytes], bytes], status: int = 200, **headers: str) -> Answer:
    return lambda handler, content: send(handler, status, change(content), **headers)


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS: dict[str, tuple[Answer, str]] = {
    "other contents": (answer_with(lambda c: c[::-1]), "wrong contents: expected the hash"),
    "one bit": (answer_with(lambda c: bytes([c[0] ^ 1]) + c[1:]), "wrong contents: expected the hash"),
    "shorter": (answer_with(lambda c: c[:-1]), "expected 256000 bytes, the server announces '255999'"),
    "longer": (answer_with(lambda c: c + b"a"), "expected 256000 bytes, the server announces '256001'"),
    "empty": (answer_with(lambda c: b""), "the server announces '0'"),
    "cut": (answer_with(lambda c: c[:1000], Content_Length="256000"), "interrupted after 1000 of 256000 bytes"),
    "cut, no length": (answer_with(lambda c: c[:1000], Content_Length=""), "interrupted after 1000 of 256000 bytes"),
    "length of letters": (answer_with(lambda c: c, Content_Length="many"), "the server announces 'many'"),
    "negative length": (answer_with(lambda c: c, Content_Length="-1"), "the server announces '-1'"),
    "no end": (send_raw(OK + b"\r\n", forever=bytes(65536)), "expected 256000 bytes, the server sends more"),
    "gzip": (answer_with(gzip.compress, Content_Encoding="gzip"), "sends it compressed ('gzip')"),
    "gzip bomb": (answer_with(lambda c: gzip.compress(bytes(1 << 24)), Content_Encoding="gzip"), "compressed"),
    "page": (answer_with(lambda c: b"<html>sign in</html>", Content_Type="text/html"), "announces '20'"),
    "forbidden": (answer_with(lambda c: b"no", 403), "access denied (HTTP 403)"),
    "missing": (answer_with(lambda c: b"no", 404), "it does not exist there (HTTP 404)"),
    "failure": (answer_with(lambda c: b"no", 503), "the hub failed (HTTP 503)"),
    "other protocol": (send_raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "the hub cannot be reached (SSH-2.0-OpenSSH_9.2)"),
    "nothing": (send_raw(b""), "the hub cannot be reached"),
    "many headers": (send_raw(OK, forever=b"X-A: b\r\n"), "the hub cannot be reached (got more than 100 headers)"),
    "long header": (send_raw(OK, b"X-A: ", forever=b"a" * 1000), "the hub cannot be reached (got more than 65536"),
    "escape codes": (send_raw(b"\x1b[2J\nHTTP\r\n"), "the hub cannot be reached"),
    # The socket waits as long, and says that it timed out if the thread of the download comes first.
    "silence": (lambda handler, content: time.sleep(1), "the server sent 0 bytes in 0 s, which is too slow|timed out"),
    "dripping headers": (send_raw(OK, forever=b"a", pause=0.01), "the server sent 0 bytes in 0 s, which is too slow"),
    "dripping body": (send_raw(OK + b"\r\n", forever=b"a", pause=0.01), "bytes in 0 s, which is too slow"),
    "dripping chunks": (
        send_raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", forever=b"0", pause=0.01),
        "the server sent 0 bytes in 0 s, which is too slow",
    ),
    "local file": (redirect("file:///etc/passwd"), "redirects in a loop, or to another protocol (HTTP 302)"),
    "ftp": (redirect("ftp://localhost/model.safetensors"), "which is not a secure address"),
    "loop": (
        redirect("/org/repo/resolve/main/model.safetensors"),
        "redirects in a loop, or to another protocol (HTTP 302)",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_a_hostile_answer_is_an_error_of_one_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, answer: Answer, expected: str
) -> None:
    site.hub.respond = answer
    with monkeypatch.context() as patch:
        if "too slow" in expected:
            patch.setattr(transfer, "STALL_SECONDS", 0.3)
        message = site.refuse()
    assert any(each in message for each in expected.split("|"))
    assert "\x1b" not in message
    site.hub.respond = None
    assert site.fetch().read_bytes() == CONTENT  # the next run, from an honest hub


def change_record(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda listing: {**listing, "siblings": [{**each, **fields} for each in listing["siblings"]]}


EVIL = "a" * 30 + "/../../../../../evil"
LISTINGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "commit outside": (
        lambda a: a | {"sha": "../../../evil"},
        "a commit of 40 hexadecimal digits from the hub, got '..",
    ),
    "absolute commit": (lambda a: a | {"sha": "/tmp/evil"}, "a commit of 40 hexadecimal digits"),
    "short commit": (lambda a: a | {"sha": "cd" * 19}, "a commit of 40 hexadecimal digits"),
    "commit and line": (lambda a: a | {"sha": "cd" * 20 + "\n"}, "a commit of 40 hexadecimal digits"),
    "no commit": (lambda a: a | {"sha": None}, "a commit of 40 hexadecimal digits"),
    "numeric commit": (lambda a: a | {"sha": 10**39}, "a commit of 40 hexadecimal digits"),
    "list": (lambda a: [a], "a commit of 40 hexadecimal digits"),
    "no files": (lambda a: a | {"siblings": None}, "expected a list of files from the hub"),
    "files of text": (lambda a: a | {"siblings": ["model.safetensors"]}, "expected a list of files from the hub"),
    "other files": (lambda a: a | {"siblings": []}, "the hub does not have it"),
    "no hash": (change_record(lfs=None, blobId=None), "the hub gives no size and hash of model.safetensors"),
    "hash outside": (change_record(lfs={"sha256": "../../../evil", "size": 1}), "no size and hash"),
    "blob outside": (change_record(lfs=None, blobId="../../../evil"), "no size and hash"),
    "negative size": (change_record(lfs=None, size=-1), "no size and hash"),
    "size of text": (change_record(lfs=None, size="9"), "no size and hash"),
    "true as size": (change_record(lfs=None, size=True), "no size and hash"),
    "fractional size": (change_record(lfs=None, size=1e300), "no size and hash"),
    "size of an exabyte": (change_record(lfs={"sha256": "0" * 64, "size": 10**18}), "do not fit on the disk of"),
    "other size": (
        change_record(lfs={"sha256": "0" * 64, "size": 7}),
        "expected 7 bytes, the server announces '256000'",
    ),
    "other hash": (change_record(lfs={"sha256": "0" * 64, "size": 256000}), "wrong contents: expected the hash 0000"),
    "page": (lambda a: b"<html>", "expected a JSON document, got b'<html>'"),
    "nesting": (lambda a: b"[" * 100_000, "expected a JSON document, got b'[[["),
    "long": (lambda a: b" " * (1 << 24) + b"{}", "at most 16777216 bytes, got more"),
    "digits": (lambda a: b'{"sha": ' + b"1" * 5000 + b"}", "expected a JSON document"),
}


@pytest.mark.parametrize(("listing", "expected"), LISTINGS.values(), ids=LISTINGS)
def test_a_hostile_listing_is_an_error_of_one_line(site: Site, listing: Any, expected: str) -> None:
    site.hub.listing = listing
    assert expected in site.refuse()


NAMES = (
    "../evil.json",
    "/tmp/evil.json",
    "a/../../evil.json",
    "a\\..\\evil.json",
    "C:evil.json",
    "a//b.json",
    "\0.json",
)


@pytest.mark.parametrize("name", [*NAMES, "a\n.json", "./a.json", "a" * 300 + ".json", EVIL + ".json"])
def test_a_listed_name_outside_the_folder_is_refused_before_any_download(site: Site, name: str) -> None:
    record = {"rfilename": name, "size": 1, "blobId": "0" * 40}
    site.hub.listing = lambda listing: listing | {"siblings": [*listing["siblings"], record]}
    with pytest.raises(BadInput, match="the hub lists a file of an unsafe name"):
        hub.download_snapshot("org/repo", [["*.json"]], lambda folder: True)
    assert site.list_files() == []
    assert site.hub.downloads == []
    assert site.fetch().read_bytes() == CONTENT  # only files that are needed count


@pytest.mark.parametrize("answer", ["other", b"<html>"])
def test_a_pinned_commit_is_compared_before_anything_is_downloaded(site: Site, answer: Any) -> None:
    site.hub.listing = lambda listing: answer if isinstance(answer, bytes) else listing | {"sha": "ab" * 20}
    site.refuse(revision="ef" * 20)
    assert site.hub.downloads == []


def test_an_etag_chooses_no_path(site: Site) -> None:
    site.hub.respond = lambda handler, content: send(
        handler, 200, content, ETag='"../../../evil"', X_Repo_Commit="../x"
    )
    assert site.fetch().read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert sorted(site.list_files()) == [
        f"cache/models--org--repo/{name}"
        for name in (f"blobs/{digest}", "refs/main", f"snapshots/{COMMIT}/model.safetensors")
    ]


@pytest.mark.parametrize("repository", ["../..", "org/..", "a--b/c", "org/.repo", "org/repo.", "-org/repo"])
def test_a_repository_outside_the_cache_is_refused_without_a_request(site: Site, repository: str) -> None:
    with pytest.raises(BadOption, match="ORG/REPO"):
        hub.download_snapshot(repository, [["a"]], lambda folder: True)
    assert site.hub.requests == []


@pytest.mark.parametrize("revision", ["../../../evil", "/etc", "a/../b", "a\nb", "a b", "a" * 300, "a\\b"])
def test_a_revision_outside_the_cache_is_refused_without_a_request(site: Site, revision: str) -> None:
    with pytest.raises(BadOption, match="is not a commit, tag or branch"):
        site.fetch(revision=revision)
    assert site.hub.requests == []


def test_a_reference_of_the_cache_that_is_no_commit_is_not_followed(site: Site) -> None:
    root = site.folder / "cache" / "models--org--repo"
    (root / "refs").mkdir(parents=True)
    (root / "snapshots").mkdir()
    (site.folder / "model.safetensors").write_bytes(b"other")
    (root / "refs" / "main").write_text("../../..")
    assert site.fetch().read_bytes() == CONTENT
    assert (root / "refs" / "main").read_text() == COMMIT


def test_small_files_are_verified_by_the_hash_of_git(site: Site) -> None:
    site.hub.respond = answer_with(lambda c: c[::-1])
    assert "wrong contents: expected the hash" in site.refuse("config.json")
    site.hub.respond = None
    assert site.fetch("config.json").read_bytes() == FILES["config.json"]


def test_the_time_limit_is_an_option(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transfer.TIMEOUT_VARIABLE, "0.2")
    site.hub.respond = send_raw(OK + b"\r\n", forever=b"a" * 1000, pause=0.01)
    assert "not complete after 0 s; ANYBIND_DOWNLOAD_TIMEOUT=SECONDS sets the limit" in site.refuse()
    for text in ("0", "-1", "nan", "inf", "soon"):
        monkeypatch.setenv(transfer.TIMEOUT_VARIABLE, text)
        with pytest.raises(BadOption, match="ANYBIND_DOWNLOAD_TIMEOUT: expected seconds above 0"):
            site.fetch()


def serve_range(handler: Handler, content: bytes) -> None:
    start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if start:
        send(handler, 206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        send(handler, 200, content[:100_000], Content_Length=str(len(content)))


def test_a_broken_connection_is_continued_where_it_ended(site: Site) -> None:
    site.hub.respond = serve_range
    assert site.fetch().read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.hub.headers] == [None, None, "bytes=100000-"]


def test_the_next_run_continues_an_interrupted_download(site: Site) -> None:
    site.hub.respond = lambda handler, content: send(handler, 200, content[:100_000], Content_Length="256000")
    assert "interrupted after 100000 of 256000 bytes; run again to continue" in site.refuse()
    site.hub.respond = serve_range
    assert site.fetch().read_bytes() == CONTENT
    assert site.hub.headers[-1]["Range"] == "bytes=100000-"


@pytest.mark.parametrize("size", [1000, 256_000, 300_000])
def test_a_leftover_of_other_contents_is_downloaded_anew(site: Site, size: int) -> None:
    blobs = site.folder / "cache" / "models--org--repo" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(CONTENT).hexdigest()}.incomplete").write_bytes(bytes(size))
    site.hub.respond = serve_range
    with contextlib.suppress(BadInput):
        site.fetch()  # contents that do not fit are removed
    site.hub.respond = None
    assert site.fetch().read_bytes() == CONTENT


def test_damaged_contents_of_the_cache_are_not_linked(site: Site) -> None:
    site.fetch()
    site.folder.joinpath("cache/models--org--repo/snapshots", COMMIT, "model.safetensors").unlink()
    (blob,) = site.folder.joinpath("cache/models--org--repo/blobs").iterdir()
    blob.write_bytes(bytes(len(CONTENT)))
    assert site.fetch().read_bytes() == CONTENT


def test_a_full_disk_is_an_error_that_leaves_no_file(site: Site) -> None:
    with limit_file_size(left=100_000):
        message = site.refuse()
    assert "HF_HUB_CACHE sets another folder" in message
    assert not list(site.folder.rglob("*.incomplete"))


def test_a_cache_that_cannot_be_written_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "Permission denied" in site.refuse()


def test_the_token_is_not_sent_to_another_host(site: Site) -> None:
    with serve_hub({"org/repo": FILES}) as other:
        site.hub.respond = redirect(f"{other.url}/org/repo/resolve/main/model.safetensors")
        assert site.fetch().read_bytes() == CONTENT
        assert [headers.get("Authorization") for headers in site.hub.headers] == ["Bearer hf_secret"] * 2
        assert [headers.get("Authorization") for headers in other.headers] == [None]


def test_another_host_must_send_the_listed_contents(site: Site) -> None:
    with serve_hub({"org/repo": {"model.safetensors": CONTENT[::-1]}}) as other:
        site.hub.respond = redirect(f"{other.url}/org/repo/resolve/main/model.safetensors")
        assert "wrong contents" in site.refuse()


def test_a_cached_file_needs_no_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.fetch()
    n_requests = len(site.hub.requests)
    assert [site.fetch(), site.fetch(revision=COMMIT)] == [path, path]
    assert len(site.hub.requests) == n_requests
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert site.fetch() == path
    with pytest.raises(BadInput, match="it is not in the cache, and HF_HUB_OFFLINE is set"):
        site.fetch("config.json")
    assert len(site.hub.requests) == n_requests


def test_two_downloads_of_one_file_fetch_it_once(site: Site) -> None:
    both = threading.Barrier(2)

    def fetch(_: int) -> bytes:
        both.wait()
        return site.fetch().read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fetch, range(2))) == [CONTENT] * 2
    assert site.hub.downloads == ["model.safetensors"]


def test_huggingface_hub_finds_what_was_downloaded(site: Site) -> None:
    path = site.fetch()
    cached = huggingface_hub.try_to_load_from_cache("org/repo", "model.safetensors", cache_dir=site.folder / "cache")
    assert cached == str(path)
    assert json.loads(site.fetch("config.json").read_text()) == {"a": 1}
