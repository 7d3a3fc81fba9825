"""`find_weights_file`: by path, from the hub's cache offline, and from a fake hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anybind import BadInput
from anybind.errors import BadOption
from anybind.hub import find_weights_file
from helpers.hub import COMMIT, serve_hub, write_cache

OLDER = "ab" * 20
NAMES = ("model.safetensors", "model.pth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with a weight file."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pth").write_bytes(b"weights")
    return tmp_path / "model"


def refusal(kind: type[Exception], source: Any, file: Any = NAMES) -> str:
    with pytest.raises(kind) as caught:
        find_weights_file(source, file=file)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_path_of_a_file_is_returned_whatever_its_name(folder: Path) -> None:
    for source in (folder / "model.pth", str(folder / "model.pth")):
        assert find_weights_file(source, file="something.else") == folder / "model.pth"


def test_a_folder_gives_the_file_in_it(folder: Path) -> None:
    for source in (folder, str(folder), f"local-dir:{folder}"):
        assert find_weights_file(source, file="model.pth") == folder / "model.pth"


def test_the_first_existing_name_is_chosen(folder: Path) -> None:
    assert find_weights_file(folder, file=NAMES).name == "model.pth"
    (folder / "model.safetensors").touch()
    assert find_weights_file(folder, file=NAMES).name == "model.safetensors"


def test_a_relative_folder_is_not_a_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    assert find_weights_file(f"{folder.parent.name}/model", file="model.pth").read_bytes() == b"weights"


def test_a_tilde_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_weights_file("~/model", file="model.pth") == folder / "model.pth"


def test_a_folder_without_the_file_raises_with_the_names(folder: Path) -> None:
    message = refusal(BadInput, folder, ("a.bin", "b.bin"))
    assert f"{folder} holds no a.bin and no b.bin" in message


@pytest.mark.parametrize("source", ["/no/such/file.pth", "./no/such", "../x", "~/nothing-here", "local-dir:org/repo"])
def test_a_missing_path_raises_without_a_request_to_the_hub(source: str) -> None:
    assert "check the path" in refusal(BadInput, source)


def test_a_path_object_is_never_a_repository() -> None:
    assert "does not exist" in refusal(BadInput, Path("org/repo"))


@pytest.mark.parametrize("source", ["model", "a/b/c", "", "org/my repo", "org/", "https://host/org/repo"])
def test_neither_a_path_nor_a_repository_raises_bad_option(source: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert "ORG/REPO" in refusal(BadOption, source)


LOOK = """
import json, socket, sys
tried = []
def refuse(*arguments, **options):
    tried.append(str(arguments))
    raise OSError("no network here")
if sys.argv[1] == "refused":
    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from anybind import AnybindError
from anybind.hub import find_weights_file
answers = []
for source, file, revision in json.loads(sys.argv[2]):
    try:
        path = find_weights_file(source, file=file, revision=revision)
        answers.append([path.name, path.parent.name, path.read_text()])
    except AnybindError as error:
        answers.append([type(error).__name__, str(error)])
print(json.dumps({"answers": answers, "tried": tried, "torch": "torch" in sys.modules}))
"""


def request_files(
    network: str, cache: Path, *requests: tuple[str, Any, str | None], endpoint: str = "http://127.0.0.1:9"
) -> Any:
    """Request files in a separate process and return its results."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
    environment = inherited | {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint, "NO_PROXY": "*"}
    command = [sys.executable, "-c", LOOK, network, json.dumps(requests)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Results from a cache, in a process without a network."""
    cache = tmp_path_factory.mktemp("cache")
    write_cache(cache, "org/repo", {"model.pth": b"older"}, OLDER)
    write_cache(cache, "org/repo", {"model.pth": b"newer", "other.bin": b"other"}, COMMIT)
    requests = [
        ("org/repo", "model.pth", None),
        ("org/repo", "model.pth", OLDER),
        ("org/repo", NAMES, COMMIT),
        ("org/repo", "absent.bin", None),
        ("org/other", "model.pth", None),
        ("org/repo", "model.pth", "ef" * 20),
    ]
    return request_files("refused", cache, *requests)


def test_a_cached_file_is_of_the_main_branch_or_the_given_revision(offline: Any) -> None:
    assert offline["answers"][:3] == [
        ["model.pth", COMMIT, "newer"],
        ["model.pth", OLDER, "older"],
        ["model.pth", COMMIT, "newer"],
    ]


def test_a_file_missing_in_the_cache_raises_offline_with_a_remedy(offline: Any) -> None:
    for kind, message in offline["answers"][3:]:
        assert kind == "BadInput"
        assert "cannot be reached" in message
        assert "local-dir:FOLDER" in message
        assert "\n" not in message
    assert "org/other" in offline["answers"][4][1]
    assert "ef" * 20 in offline["answers"][5][1]


def test_finding_a_file_imports_no_torch(offline: Any) -> None:
    assert not offline["torch"]


def test_a_cached_file_needs_no_connection(tmp_path: Path) -> None:
    write_cache(tmp_path, "org/repo", {"model.pth": b"weights"}, COMMIT)
    response = request_files("refused", tmp_path, ("org/repo", NAMES, None), ("org/repo", NAMES, COMMIT))
    assert [answer[2] for answer in response["answers"]] == ["weights"] * 2
    assert response["tried"] == []


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Results from a fake hub, with an empty cache."""
    requests = [
        ("org/repo", "model.pth", COMMIT),
        ("org/repo", ("absent.bin", "model.safetensors"), None),
        ("org/repo", "absent.bin", None),
        ("org/nothing", "model.pth", None),
    ]
    files = {"model.pth": b"pickled", "model.safetensors": b"safe", "big.bin": b"unwanted"}
    with serve_hub({"org/repo": files}) as hub:
        yield request_files("open", tmp_path_factory.mktemp("empty"), *requests, endpoint=hub.url) | {
            "sent": hub.downloads
        }


def test_a_file_is_downloaded_at_the_given_revision(downloaded: Any) -> None:
    assert downloaded["answers"][0] == ["model.pth", COMMIT, "pickled"]


def test_the_first_name_in_the_repository_is_downloaded(downloaded: Any) -> None:
    assert downloaded["answers"][1] == ["model.safetensors", COMMIT, "safe"]


def test_a_file_missing_on_the_hub_raises(downloaded: Any) -> None:
    for (kind, message), name in zip(downloaded["answers"][2:], ("absent.bin", "org/nothing"), strict=True):
        assert kind == "BadInput"
        assert name in message


def test_only_the_requested_files_are_downloaded(downloaded: Any) -> None:
    assert sorted(downloaded["sent"]) == ["model.pth", "model.safetensors"]
