"""`find_weights_file`: by path, from the hub's cache without a network, and from a hub that a test serves."""

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
from helpers.hub import COMMIT, lay_out, serve_hub

OLDER = "ab" * 20
NAMES = ("model.safetensors", "model.pth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a weight file."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pth").write_bytes(b"weights")
    return tmp_path / "model"


def refusal(kind: type[Exception], source: Any, file: Any = NAMES) -> str:
    with pytest.raises(kind) as caught:
        find_weights_file(source, file=file)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_itself_whatever_it_is_called(folder: Path) -> None:
    for source in (folder / "model.pth", str(folder / "model.pth")):
        assert find_weights_file(source, file="something.else") == folder / "model.pth"


def test_a_folder_gives_the_file_in_it(folder: Path) -> None:
    for source in (folder, str(folder), f"local-dir:{folder}"):
        assert find_weights_file(source, file="model.pth") == folder / "model.pth"


def test_of_several_names_the_first_that_is_there_is_taken(folder: Path) -> None:
    assert find_weights_file(folder, file=NAMES).name == "model.pth"
    (folder / "model.safetensors").touch()
    assert find_weights_file(folder, file=NAMES).name == "model.safetensors"


def test_a_relative_folder_is_no_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    assert find_weights_file(f"{folder.parent.name}/model", file="model.pth").read_bytes() == b"weights"


def test_the_home_folder_has_its_short_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_weights_file("~/model", file="model.pth") == folder / "model.pth"


def test_a_folder_without_the_file_is_refused_with_its_names(folder: Path) -> None:
    message = refusal(BadInput, folder, ("a.bin", "b.bin"))
    assert f"{folder} holds no a.bin and no b.bin" in message


@pytest.mark.parametrize("source", ["/no/such/file.pth", "./no/such", "../x", "~/nothing-here", "local-dir:org/repo"])
def test_a_path_that_is_not_there_is_refused_and_no_hub_is_asked(source: str) -> None:
    assert "check the path" in refusal(BadInput, source)


def test_a_path_object_is_never_a_repository() -> None:
    assert "does not exist" in refusal(BadInput, Path("org/repo"))


@pytest.mark.parametrize("source", ["model", "a/b/c", "", "org/my repo", "org/", "https://host/org/repo"])
def test_what_is_neither_path_nor_repository_is_refused_as_an_option(
    source: str, tmp_path: Path, monkeypatch: Any
) -> None:
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


def look(network: str, cache: Path, *asked: tuple[str, Any, str | None], endpoint: str = "http://127.0.0.1:9") -> Any:
    """Ask for files in a process of its own, and tell its answers."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
    environment = inherited | {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint, "NO_PROXY": "*"}
    command = [sys.executable, "-c", LOOK, network, json.dumps(asked)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Answers from a cache, in a process that refuses the network."""
    cache = tmp_path_factory.mktemp("cache")
    lay_out(cache, "org/repo", {"model.pth": b"older"}, OLDER)
    lay_out(cache, "org/repo", {"model.pth": b"newer", "other.bin": b"other"}, COMMIT)
    asked = [
        ("org/repo", "model.pth", None),
        ("org/repo", "model.pth", OLDER),
        ("org/repo", NAMES, COMMIT),
        ("org/repo", "absent.bin", None),
        ("org/other", "model.pth", None),
        ("org/repo", "model.pth", "ef" * 20),
    ]
    return look("refused", cache, *asked)


def test_a_file_of_the_cache_is_of_the_main_branch_or_the_revision_asked_for(offline: Any) -> None:
    assert offline["answers"][:3] == [
        ["model.pth", COMMIT, "newer"],
        ["model.pth", OLDER, "older"],
        ["model.pth", COMMIT, "newer"],
    ]


def test_what_the_cache_lacks_is_refused_in_one_line_with_the_way_around(offline: Any) -> None:
    for kind, message in offline["answers"][3:]:
        assert kind == "BadInput"
        assert "cannot be reached" in message
        assert "local-dir:FOLDER" in message
        assert "\n" not in message
    assert "org/other" in offline["answers"][4][1]
    assert "ef" * 20 in offline["answers"][5][1]


def test_finding_a_file_imports_no_torch(offline: Any) -> None:
    assert not offline["torch"]


def test_no_connection_is_tried_for_a_file_of_the_cache(tmp_path: Path) -> None:
    lay_out(tmp_path, "org/repo", {"model.pth": b"weights"}, COMMIT)
    told = look("refused", tmp_path, ("org/repo", NAMES, None), ("org/repo", NAMES, COMMIT))
    assert [answer[2] for answer in told["answers"]] == ["weights"] * 2
    assert told["tried"] == []


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Answers from a hub that is there, with an empty cache."""
    asked = [
        ("org/repo", "model.pth", COMMIT),
        ("org/repo", ("absent.bin", "model.safetensors"), None),
        ("org/repo", "absent.bin", None),
        ("org/nothing", "model.pth", None),
    ]
    files = {"model.pth": b"pickled", "model.safetensors": b"safe", "big.bin": b"unwanted"}
    with serve_hub({"org/repo": files}) as hub:
        yield look("open", tmp_path_factory.mktemp("empty"), *asked, endpoint=hub.url) | {"sent": hub.sent}


def test_a_file_is_fetched_at_the_revision_asked_for(fetched: Any) -> None:
    assert fetched["answers"][0] == ["model.pth", COMMIT, "pickled"]


def test_the_first_name_that_the_repository_has_is_fetched(fetched: Any) -> None:
    assert fetched["answers"][1] == ["model.safetensors", COMMIT, "safe"]


def test_what_the_hub_does_not_have_is_refused(fetched: Any) -> None:
    for (kind, message), name in zip(fetched["answers"][2:], ("absent.bin", "org/nothing"), strict=True):
        assert kind == "BadInput"
        assert name in message


def test_nothing_but_the_files_asked_for_is_fetched(fetched: Any) -> None:
    assert sorted(fetched["sent"]) == ["model.pth", "model.safetensors"]
