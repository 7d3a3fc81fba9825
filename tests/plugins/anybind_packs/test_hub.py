"""`push` and `hf:ORG/NAME` against a hub on this machine, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.packs import change_card
from helpers.writable_hub import TOKEN, WritableHub, serve_writable_hub

LOAD = """
import json, socket, sys
tried = []
name, allowed = sys.argv[1:]
connect = socket.socket.connect
def refuse(self, address):
    if isinstance(address, tuple) and f"{address[0]}:{address[1]}" == allowed:
        return connect(self, address)
    tried.append(str(address))
    raise OSError("no network here")
socket.socket.connect = refuse
import anybind
try:
    binder = anybind.load(name)
    vectors = binder.embed("text", ["a dog"])
    answer = {"name": binder.name, "identity": binder.identity("event"), "first": float(vectors.vectors[0, 0])}
except anybind.AnybindError as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answer | {"tried": tried}))
"""


pytestmark = pytest.mark.slow


class Client:
    """Processes with one hub cache."""

    def __init__(self, hub: WritableHub, home: Path) -> None:
        self.hub, self.home = hub, home
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        self.environment |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home), "NO_PROXY": "*"}

    def run(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        variables = self.environment | environment
        return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300, check=False)

    def push(self, folder: Path, target: str = "hf:org/pack", *options: object, token: str = TOKEN) -> Any:
        return self.run("-m", "anybind", "push", folder, target, *options, HF_TOKEN=token)

    def load(self, name: str, *, network: bool = True) -> Any:
        """Load a pack where no address but the hub's, or none at all, can be reached."""
        ended = self.run("-c", LOAD, name, self.hub.url.removeprefix("http://") if network else "none")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture
def hub() -> Iterator[WritableHub]:
    with serve_writable_hub() as hub:
        yield hub


@pytest.fixture
def client(hub: WritableHub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path / "hf")


@pytest.fixture
def stored(hub: WritableHub, packed_event: Path) -> str:
    """Store the pack on the hub without a push; return the commit."""
    hub.commits["org/pack"] = {}
    return hub.commit("org/pack", {path.name: path.read_bytes() for path in packed_event.iterdir()})


def test_a_pushed_pack_is_loaded_by_another_process_and_then_without_any_network(
    client: Client, hub: WritableHub, own_pack: Path
) -> None:
    (own_pack / "notes.txt").write_text("not a file of the pack")
    pushed = client.push(own_pack)
    assert pushed.returncode == 0, pushed.stderr
    (commit,) = hub.commits["org/pack"]
    assert f"--binding hf:org/pack@{commit}" in pushed.stdout
    assert sorted(hub.commits["org/pack"][commit]) == [
        "README.md", "base.safetensors", "encoder.safetensors", "pack.json"
    ]  # fmt: skip
    first = client.load("hf:org/pack")
    assert first["name"] == f"hf:org/pack@{commit}"
    assert first["tried"] == []
    n_requests = len(hub.requests)
    for name in ("hf:org/pack", f"hf:org/pack@{commit}"):
        assert client.load(name, network=False) == first
    assert len(hub.requests) == n_requests


def test_a_revision_is_pinned_whatever_is_pushed_later(client: Client, hub: WritableHub, stored: str) -> None:
    later = hub.commit("org/pack", {"README.md": b"changed", "pack.json": b"{}"})
    assert "error" not in client.load(f"hf:org/pack@{stored}")
    assert client.load("hf:org/pack")["error"].startswith("BadInput")
    assert later != stored


def test_a_token_is_read_from_a_file_and_never_printed(client: Client, own_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert client.push(own_pack, "hf:org/pack", "--token-file", tmp_path / "token", token="").returncode == 0
    for token in ("hf_wrongwrongwrong", ""):
        refused = client.push(own_pack, token=token)
        assert refused.returncode == 2
        assert len(refused.stderr.strip().splitlines()) == 1
        assert "hf_wrong" not in refused.stderr
        assert ("cannot push" if token else "set HF_TOKEN, or give --token-file") in refused.stderr
    (tmp_path / "token").write_text("two tokens")
    assert (
        "expected an access token alone" in client.push(own_pack, "hf:o/p", "--token-file", tmp_path / "token").stderr
    )


def test_what_is_not_a_valid_pack_is_not_pushed(cli, hub: WritableHub, own_pack: Path, tmp_path: Path) -> None:
    assert "not a pack" in cli("push", tmp_path, "hf:org/pack").error()
    assert "expected a target hf:ORG/NAME" in cli("push", own_pack, "org/pack").error()
    (own_pack / "encoder.safetensors").write_bytes(b"other")
    assert "truncated or changed" in cli("push", own_pack, "hf:org/pack").error()
    change_card(own_pack, lambda card: card.update(licence=""))
    assert "licence: expected a text" in cli("push", own_pack, "hf:org/pack").error()
    assert hub.requests == []


def test_an_interrupted_download_is_continued(client: Client, hub: WritableHub, stored: str) -> None:
    hub.break_after = 1_000_000
    answer = client.load("hf:org/pack")
    assert answer["name"] == f"hf:org/pack@{stored}"
    assert hub.break_after == 0


def test_files_changed_on_the_hub_or_in_the_cache_are_refused(client: Client, hub: WritableHub, stored: str) -> None:
    files = hub.commits["org/pack"][stored]
    larger = hub.commit("org/pack", {"encoder.safetensors": files["encoder.safetensors"] + b"x"})
    assert re.search(r"expected at most \d+ bytes of encoder", client.load(f"hf:org/pack@{larger}")["error"])
    swapped = files["encoder.safetensors"][:-1] + bytes([files["encoder.safetensors"][-1] ^ 1])
    other = hub.commit("org/pack", {"encoder.safetensors": swapped})
    assert "truncated or changed" in client.load(f"hf:org/pack@{other}")["error"]
    assert "error" not in client.load(f"hf:org/pack@{stored}")
    (cached,) = client.home.glob(f"hub/models--org--pack/snapshots/{stored}/base.safetensors")
    blob = cached.resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"\1")
    assert "truncated or changed" in client.load(f"hf:org/pack@{stored}", network=False)["error"]


@pytest.mark.parametrize("name", ["hf:", "hf:pack", "hf:org/pack@", "hf:../x", "hf:org/../x", "hf:a/b/c"])
def test_invalid_names_are_refused_without_a_request(cli, name: str) -> None:
    assert "error: " in cli("embed", "--binding", name, "x.png", "-o", "x.safetensors").error()
