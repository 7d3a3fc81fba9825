"""A fake model hub on this machine, and caches written by hand."""

from __future__ import annotations

import http.server
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "cd" * 20
"""The only revision of a served repository."""


@dataclass
class FakeHub:
    """A server of repositories, dictionaries of bytes, for huggingface_hub; `sent` lists the downloaded files."""

    repositories: Mapping[str, Mapping[str, bytes]]
    url: str = ""
    downloads: list[str] = field(default_factory=list)


@contextmanager
def serve_hub(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[FakeHub]:
    """Serve repositories until the block ends."""
    hub = FakeHub(repositories)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.respond(body=True)

        def do_HEAD(self) -> None:
            self.respond(body=False)

        def respond(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            listing = re.fullmatch(r"/api/models/(org/\w+)(/revision/\w+)?", path)
            file = re.fullmatch(r"/(org/\w+)/resolve/\w+/(.+)", path)
            if listing and listing[1] in repositories:
                siblings = [{"rfilename": name} for name in repositories[listing[1]]]
                about = {"id": listing[1], "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
                self.send(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, body)
            elif file and file[2] in repositories.get(file[1], {}):
                content = repositories[file[1]][file[2]]
                if body:
                    hub.downloads.append(file[2])
                self.send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hash(content)}"'}, body)
            else:
                self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, body)

        def send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Disable logging to stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever)
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
