"""A hub on this machine that also takes uploads, as huggingface_hub sends them without Xet: repositories with commits."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from helpers.hub import LARGE, list_repository, send

TOKEN = "hf_secretsecretsecret"


@dataclass
class WritableHub:
    """A server of repositories.

    Attributes:
        commits: files of each commit, the latest last, by repository; a commit has all its files.
        blobs: uploaded large files by SHA-256.
        requests: method and path of each request.
        break_after: end the next download of a large file after so many bytes; 0 for none.
    """

    url: str = ""
    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    break_after: int = 0

    def find(self, repository: str, revision: str) -> tuple[str, Mapping[str, bytes]] | None:
        """Return a commit and its files; `main` is the latest."""
        commits = self.commits.get(repository, {})
        name = list(commits)[-1] if commits and revision == "main" else revision
        return (name, commits[name]) if name in commits else None

    def commit(self, repository: str, files: Mapping[str, bytes]) -> str:
        """Add a commit of these files over those of the latest."""
        before = self.find(repository, "main")
        content = {**(before[1] if before else {}), **files}
        number = len(self.commits[repository])
        name = hashlib.sha1(f"{repository} {number}".encode()).hexdigest()
        self.commits[repository][name] = content
        return name


@contextmanager
def serve_writable_hub() -> Iterator[WritableHub]:
    """Serve repositories until the block ends."""
    hub = WritableHub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self, status: int, answer: Any, **headers: str) -> None:
            send(self, status, json.dumps(answer).encode(), Content_Type="application/json", **headers)

        def read_body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            hub.requests.append(f"GET {path}")
            listing = re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/revision/(\w+)", path)
            file = re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/(\w+)/(.+)", path)
            match = listing or file
            stored = hub.find(match[1], match[2]) if match else None
            if listing and stored:
                self.reply(200, list_repository(listing[1], stored[1]) | {"sha": stored[0]})
            elif file and stored and file[3] in stored[1]:
                self.send_file(stored[1][file[3]])
            else:
                self.reply(404, {}, X_Error_Code="RepoNotFound")

        def send_file(self, content: bytes) -> None:
            offset = int((re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) or "00")[1])
            headers = {"Content_Range": f"bytes {offset}-{len(content) - 1}/{len(content)}"} if offset else {}
            rest = content[offset:]
            if hub.break_after and len(rest) > hub.break_after:
                end, hub.break_after = hub.break_after, 0
                send(self, 206 if offset else 200, rest[:end], Content_Length=str(len(rest)), **headers)
                self.close_connection = True
                return
            send(self, 206 if offset else 200, rest, **headers)

        def do_PUT(self) -> None:
            hub.requests.append(f"PUT {self.path}")
            content, digest = self.read_body(), self.path.rpartition("/")[2]
            matches = hashlib.sha256(content).hexdigest() == digest
            if matches:
                hub.blobs[digest] = content
            self.reply(200 if matches else 400, {})

        def do_POST(self) -> None:
            path, body = self.path.partition("?")[0], self.read_body()
            hub.requests.append(f"POST {path}")
            if path == "/api/validate-yaml":
                self.reply(200, {"errors": [], "warnings": []})
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.reply(401, {"error": f"Invalid credentials {self.headers.get('Authorization')}"})
            elif path == "/api/repos/create":
                self.create(json.loads(body))
            elif match := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
                modes = {name: "lfs" if name.endswith(LARGE) else "regular" for name in list_paths(json.loads(body))}
                files = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
                self.reply(200, {"files": files})
            elif re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
                objects = json.loads(body)["objects"]
                action = lambda each: {"upload": {"href": f"{hub.url}/lfs/{each['oid']}", "header": {}}}  # noqa: E731
                answers = [each | ({} if each["oid"] in hub.blobs else {"actions": action(each)}) for each in objects]
                self.reply(200, {"transfer": "basic", "objects": answers})
            elif match := re.fullmatch(r"/api/models/(.+)/commit/main", path):
                name = hub.commit(match[1], read_commit(body, hub.blobs))
                url = f"{hub.url}/{match[1]}/commit/{name}"
                self.reply(200, {"success": True, "commitOid": name, "commitUrl": url, "hookOutput": ""})
            else:
                self.reply(404, {})

        def create(self, body: dict[str, Any]) -> None:
            name = f"{body['organization']}/{body['name']}" if body.get("organization") else body["name"]
            created = name not in hub.commits
            hub.commits.setdefault(name, {})
            url = f"{hub.url}/{name}"
            self.reply(200 if created else 409, {"url": url, "name": name, "id": name})

        def log_message(self, format: str, *args: Any) -> None:
            """Disable logging to stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor() as pool:
        server.daemon_threads = True
        pool.submit(server.serve_forever, 0.05)
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()


def list_paths(request: dict[str, Any]) -> list[str]:
    """Return the paths in the body of a preupload request."""
    return [each["path"] for each in request["files"]]


def read_commit(body: bytes, blobs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a commit request, lines of JSON; large ones are those uploaded before."""
    files = {}
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            files[value["path"]] = blobs[value["oid"]]
    return files
