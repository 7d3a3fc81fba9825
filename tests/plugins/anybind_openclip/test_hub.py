"""Models of the hub.

Three processes run in parallel, since importing torch takes most of their time; the tests read their
reports. READ_CACHE has all files in its cache and lists attempted connections; FIND_OFFLINE has an empty cache and no
network; DOWNLOAD has a local server of the part of the hub's protocol that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest

from helpers.hub import COMMIT, serve_hub, write_cache

CONFIG, WEIGHTS, PICKLED = "open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
B32_OPENAI = "timm/vit_base_patch32_clip_224.openai"
B32_LAION = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
ROBERTA_LAION = "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"

READ_CACHE = """
import json, socket, sys
from dataclasses import asdict
connections = []
def refuse(*where, **more):
    connections.append(repr(where))
    raise OSError("this process may not connect")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse

import numpy as np
from open_clip.pretrained import get_pretrained_cfg
from anybind_openclip.model_files import _find_tag_weights, find_model_files
from anybind_openclip.encoders import load_image_encoder, load_text_encoder

images, (repository, revision, *tags) = np.load(sys.argv[1]).values(), sys.argv[2:]
image, text = load_image_encoder("hf-hub:" + repository), load_text_encoder("hf-hub:" + repository)
report = {
    "image space": asdict(image.space),
    "text space": asdict(text.space),
    "image": image.encode([image.preprocess(array) for array in images]).tolist(),
    "text": text.encode([text.preprocess("a duck")]).tolist(),
    "by revision": find_model_files(f"hf-hub:{repository}@{revision}").backbone,
    "configs": {name: dict(find_model_files(name).config) for name in tags},
    "backbones": {name: find_model_files(name).backbone for name in tags},
}
for name in tags:
    path, backbone = _find_tag_weights(get_pretrained_cfg(*name.split("/")))
    report[name] = [str(path), backbone]
print(json.dumps({**report, "connections": connections}))
"""
TAGS = ("ViT-B-32/openai", "ViT-B-32/laion2b_s34b_b79k", "roberta-ViT-B-32/laion2b_s12b_b32k")

FIND_OFFLINE = """
import sys
from anybind import AnybindError
from anybind_openclip.model_files import find_model_files
try:
    find_model_files(sys.argv[1])
except AnybindError as error:
    print(type(error).__name__, error)
"""

DOWNLOAD = """
import json, sys
from anybind_openclip.model_files import find_model_files
report = {}
for name in sys.argv[1:]:
    try:
        source = find_model_files("hf-hub:" + name)
        report[name] = [source.weights.name, source.weights.read_text(), source.backbone]
    except Exception as error:
        report[name] = [type(error).__name__, str(error)]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def processes(
    model_folder: Path,
    images: list[np.ndarray],
    run_python: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Any]]]:
    """Start READ_CACHE, FIND_OFFLINE and DOWNLOAD."""
    full_cache, empty_cache, partial_cache = (tmp_path_factory.mktemp(name) for name in ("full", "empty", "partial"))
    write_cache(full_cache, "org/repo", {name: model_folder / name for name in (CONFIG, WEIGHTS)}, "ab" * 20)
    # Dummy contents: these weights are only found, not read.
    write_cache(full_cache, B32_OPENAI, {WEIGHTS: b"openai"}, "0a" * 20)
    write_cache(full_cache, B32_LAION, {PICKLED: b"pickled only"}, "1b" * 20)
    write_cache(full_cache, ROBERTA_LAION, {WEIGHTS: b"roberta", PICKLED: b"the second choice"}, "2c" * 20)
    np.savez(full_cache / "images.npz", *images[:3])

    config = (model_folder / CONFIG).read_bytes()
    repositories = {
        "org/whole": {CONFIG: config, WEIGHTS: b"safe", PICKLED: b"pickled"},
        "org/pickled": {CONFIG: config, PICKLED: b"pickled"},
        "org/interrupted": {CONFIG: config, WEIGHTS: b"safe"},
    }
    write_cache(partial_cache, "org/interrupted", {CONFIG: config}, COMMIT)

    with serve_hub(repositories) as hub, ThreadPoolExecutor() as pool:
        arguments = (str(full_cache / "images.npz"), "org/repo", "ab" * 20, *TAGS)
        yield {
            "read_cache": pool.submit(run_python, "-c", READ_CACHE, *arguments, hub_cache=full_cache),
            "find_offline": pool.submit(run_python, "-c", FIND_OFFLINE, "hf-hub:org/repo", hub_cache=empty_cache),
            "download": pool.submit(
                run_python, "-c", DOWNLOAD, *repositories, hub_cache=partial_cache, HF_ENDPOINT=hub.url
            ),
        }


@pytest.fixture(scope="module")
def cache_report(processes: dict[str, Future[Any]]) -> dict[str, Any]:
    process = processes["read_cache"].result()
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.fixture(scope="module")
def download_report(processes: dict[str, Future[Any]]) -> dict[str, Any]:
    process = processes["download"].result()
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.slow
def test_cached_files_need_no_connection(cache_report: dict[str, Any]) -> None:
    assert cache_report["connections"] == []


def test_a_cached_repository_returns_open_clips_embeddings(
    cache_report: dict[str, Any], reference: Any, images: list[np.ndarray]
) -> None:
    np.testing.assert_allclose(cache_report["image"], reference.embed_images(images[:3]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(cache_report["text"], reference.embed_texts(["a duck"]), rtol=0, atol=1e-6)


def test_the_space_of_a_repository_is_named_after_it_and_its_revision(cache_report: dict[str, Any]) -> None:
    assert cache_report["image space"] == {"name": "org/repo", "dim": 32, "backbone": f"org/repo@{'ab' * 20}"}
    assert cache_report["text space"] == cache_report["image space"]


def test_a_revision_can_be_specified(cache_report: dict[str, Any]) -> None:
    assert cache_report["by revision"] == f"org/repo@{'ab' * 20}"


def test_a_tag_reads_its_weights_and_revision_from_the_cache(cache_report: dict[str, Any]) -> None:
    path, backbone = cache_report["ViT-B-32/openai"]
    assert Path(path).read_bytes() == b"openai"
    assert backbone == cache_report["backbones"]["ViT-B-32/openai"] == f"{B32_OPENAI}@{'0a' * 20}"


def test_a_tag_falls_back_to_cached_pickled_weights(cache_report: dict[str, Any]) -> None:
    path, backbone = cache_report["ViT-B-32/laion2b_s34b_b79k"]
    assert Path(path).read_bytes() == b"pickled only"
    assert backbone == f"{B32_LAION}@{'1b' * 20}"


def test_a_tag_prefers_safetensors(cache_report: dict[str, Any]) -> None:
    assert Path(cache_report["roberta-ViT-B-32/laion2b_s12b_b32k"][0]).read_bytes() == b"roberta"


def test_the_activation_is_that_of_the_tag(cache_report: dict[str, Any]) -> None:
    # Not in the architecture; open_clip itself only warns of a mismatch.
    assert cache_report["configs"]["ViT-B-32/openai"]["quick_gelu"] is True
    assert cache_report["configs"]["ViT-B-32/laion2b_s34b_b79k"]["quick_gelu"] is False


def test_an_activation_of_the_architecture_is_kept(cache_report: dict[str, Any]) -> None:
    # The only model of open_clip's list whose architecture sets it and whose tag does not.
    assert open_clip.get_model_config("roberta-ViT-B-32")["quick_gelu"] is True
    assert cache_report["configs"]["roberta-ViT-B-32/laion2b_s12b_b32k"]["quick_gelu"] is True


def test_an_unreachable_hub_is_a_one_line_error_with_a_workaround(
    processes: dict[str, Future[Any]],
) -> None:
    process = processes["find_offline"].result()  # within 40 s, mostly spent on importing torch
    assert process.stderr == ""
    assert process.stdout.startswith("BadInput cannot fetch org/repo")
    assert process.stdout.count("\n") == 1
    assert "local-dir:FOLDER" in process.stdout


@pytest.mark.parametrize(
    ("repository", "name", "contents"),
    [("org/whole", WEIGHTS, "safe"), ("org/pickled", PICKLED, "pickled"), ("org/interrupted", WEIGHTS, "safe")],
)
def test_downloads_prefer_safetensors_and_resume(
    download_report: dict[str, Any], repository: str, name: str, contents: str
) -> None:
    assert download_report[repository] == [name, contents, f"{repository}@{COMMIT}"]
