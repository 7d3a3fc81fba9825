"""A fake model hub on this machine, honest or hostile, and caches written by hand."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "cd" * 20
"""The only revision of a served repository."""


LARGE = (".safetensors", ".bin", ".pt", ".pth")
"""Suffixes of files that the hub keeps in Git LFS, with their SHA-256."""

Handler = http.server.BaseHTTPRequestHandler


@dataclass
class FakeHub:
    """A server of repositories, dictionaries of bytes.

    Attributes:
        requests: requested paths.
        downloads: names of downloaded files.
        listing: changes the JSON answer to a request for a repository's files.
        respond: answers a request for a file, if set, in place of the file.
    """

    repositories: Mapping[str, Mapping[str, bytes]]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    listing: Callable[[dict[str, Any]], Any] = lambda listing: listing
    respond: Callable[[Handler, bytes], None] | None = None


def list_repository(repository: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the hub's JSON of a repository, with sizes and hashes."""
    siblings = []
    for name, content in files.items():
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        record: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name.endswith(LARGE):
            record["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        siblings.append(record)
    return {"id": repository, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}


def send(handler: Handler, status: int, content: bytes, **headers: str) -> None:
    """Send a response; `Content_Length` replaces the true length, and is left out if it is empty."""
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(content))} | headers).items():
        if value:
            handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serve_hub(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[FakeHub]:
    """Serve repositories until the block ends."""
    hub = FakeHub(repositories)

    class HubHandler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            hub.requests.append(path)
            hub.headers.append(dict(self.headers))
            listing = re.fullmatch(r"/api/models/(org/\w+)(/revision/\w+)?", path)
            file = re.fullmatch(r"/(org/\w+)/resolve/\w+/(.+)", path)
            try:
                if listing and listing[1] in repositories:
                    answer = hub.listing(list_repository(listing[1], repositories[listing[1]]))
                    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    send(self, 200, content, Content_Type="application/json")
                elif file and (file[2] in repositories.get(file[1], {}) or hub.respond):
                    content = repositories[file[1]].get(file[2], b"")
                    hub.downloads.append(file[2])
                    hub.respond(self, content) if hub.respond else send(self, 200, content)
                else:
                    send(self, 404, b"", X_Error_Code="RepoNotFound")
            except OSError:
                self.close_connection = True  # the client has closed the connection

        def log_message(self, format: str, *args: Any) -> None:
            """Disable logging to stderr."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # hostile answers may be without end

    with Server(("127.0.0.1", 0), HubHandler) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever, 0.05)
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()


def write_cache(cache: Path, repository: str, files: Mapping[str, Path | bytes], revision: str = "5e" * 20) -> str:
    """Write files into a hub cache as huggingface_hub does, on the main branch; return the revision."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(revision)
    for name, content in files.items():
        (snapshot / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return revision
