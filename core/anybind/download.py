"""Verified downloads: the size and hash of each file are checked, and interrupted files are resumed."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybind.progress import progress_bar
from anybind.transfer import BLOCK_BYTES, MIN_RATE, START_SECONDS, Interrupted, Pace, TransferError, request_url

if TYPE_CHECKING:
    from _hashlib import HASH

MAX_JSON_BYTES = 1 << 24


@dataclass(frozen=True)
class Fingerprint:
    """The size in bytes and the hash of a file: SHA-256 (64 hexadecimal digits), or git's SHA-1 of a blob (40)."""

    size: int
    digest: str

    def start(self) -> HASH:
        """Return a hash object to be updated with the file's bytes."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)

    def matches(self, path: Path) -> bool:
        """Return whether a file has this size and hash."""
        try:
            return path.stat().st_size == self.size and _hash_into(self.start(), path).hexdigest() == self.digest
        except OSError:
            return False


def _hash_into(digest: HASH, path: Path) -> HASH:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest


def download_file(url: str, path: Path, expected: Fingerprint, token: str | None = None) -> None:
    """Download a file and verify it; `path` appears only when it is complete and correct.

    An incomplete file, `path` with `.incomplete` added, is kept for the next call after a network error; it is removed
    if its contents are wrong or the disk is full.

    Args:
        url: `http://` or `https://`. Redirects are followed, without the token to other hosts.
        path: the file; its folder exists.
        expected: its size and hash.
        token: bearer token.

    Raises:
        TransferError: the download failed, or the contents are not the expected ones.
        BadOption: the environment variable ANYBIND_DOWNLOAD_TIMEOUT is not a number of seconds above 0.
        OSError: the file cannot be written.
    """
    partial = path.with_name(f"{path.name}.incomplete")
    pace = Pace(START_SECONDS + expected.size / MIN_RATE)
    try:
        while True:
            before = _get_size(partial)
            try:
                with progress_bar(expected.size, f"download {url.rpartition('/')[2]}") as advance:
                    digest = _receive_file(url, partial, expected, token, pace, advance)
                break
            except Interrupted:
                if _get_size(partial) <= before:
                    raise
        if digest != expected.digest:
            partial.unlink(missing_ok=True)
            raise TransferError(f"wrong contents: expected the hash {expected.digest}, got {digest}")
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _get_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive_file(
    url: str, partial: Path, expected: Fingerprint, token: str | None, pace: Pace, advance: Callable[..., None]
) -> str:
    """Append to a partial file until it has the expected size; return the hash of its contents."""
    offset = _get_size(partial)
    if offset > expected.size:
        offset = 0
    free = shutil.disk_usage(partial.parent).free
    if expected.size - offset > free:
        raise TransferError(f"{expected.size - offset} bytes do not fit on the disk of {partial.parent}: {free} free")
    digest = expected.start()
    if offset:
        _hash_into(digest, partial)
    if offset == expected.size and partial.exists():
        return digest.hexdigest()
    with request_url(url, token, pace, offset) as (response, chunks):
        if offset and not _continues_at(response, offset):
            offset, digest = 0, expected.start()
        length = response.headers.get("Content-Length")
        if length is not None and length.strip() != str(expected.size - offset):
            raise TransferError(
                f"wrong contents: expected {expected.size - offset} bytes, the server announces {length!r:.40}"
            )
        advance(offset)
        with partial.open("ab" if offset else "wb") as file:
            for chunk in chunks:
                offset += len(chunk)
                if offset > expected.size:
                    break
                file.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
    if offset > expected.size:
        partial.unlink(missing_ok=True)
        raise TransferError(f"wrong contents: expected {expected.size} bytes, the server sends more")
    if offset < expected.size:
        raise Interrupted(f"interrupted after {offset} of {expected.size} bytes; run again to continue")
    return digest.hexdigest()


def _continues_at(response: http.client.HTTPResponse, offset: int) -> bool:
    """Return whether a response is the requested rest of a file; False if it is the whole file."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def fetch_json(url: str, token: str | None = None) -> Any:
    """Fetch a JSON document of at most 16 MiB; redirects to other hosts are refused.

    Raises:
        TransferError: the request failed, or the response is too large or not JSON.
        BadOption: as `download_file`.
    """
    pace = Pace(START_SECONDS)
    content = bytearray()
    with request_url(url, token, pace, other_hosts=False) as (_, chunks):
        for chunk in chunks:
            content += chunk
            if len(content) > MAX_JSON_BYTES:
                raise TransferError(f"expected a JSON document of at most {MAX_JSON_BYTES} bytes, got more")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TransferError(f"expected a JSON document, got {bytes(content[:20])!r}") from error
