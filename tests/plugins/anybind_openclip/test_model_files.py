"""Model files by name: folders, files, open_clip's list, the hub, and errors."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from anybind import BadInput
from anybind.errors import BadOption, WeightsMismatch
from anybind_openclip.encoders import load_image_encoder, load_text_encoder
from anybind_openclip.model_files import find_model_files
from helpers.hub import COMMIT, lay_out, serve_hub

CONFIG, WEIGHTS, PICKLED = "open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
B32_OPENAI = "timm/vit_base_patch32_clip_224.openai"
B32_LAION = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
ROBERTA_LAION = "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"


def encode(encoder: Any, samples: list[Any]) -> np.ndarray:
    return encoder.encode([encoder.preprocess(sample) for sample in samples])


def catch_error(error: type[Exception], model: str, **options: Any) -> str:
    """Return the one-line message of the error on loading a model."""
    with pytest.raises(error) as caught:
        load_image_encoder(model, **options)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    path = folder / CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("missing_key", ["mean", "std"])
def test_a_folder_without_mean_or_std_is_an_error_with_the_missing_setting(folder_copy: Path, missing_key: str) -> None:
    path = change_config(folder_copy, lambda config: config["preprocess_cfg"].pop(missing_key))
    assert f"{path}: the image preprocessing is missing; add {missing_key} to preprocess_cfg" in catch_error(
        WeightsMismatch, f"local-dir:{folder_copy}"
    )


@pytest.mark.parametrize("preprocess", [{}, None, "absent"])
def test_a_folder_without_preprocessing_is_an_error_with_the_missing_settings(
    folder_copy: Path, preprocess: Any
) -> None:
    if preprocess == "absent":
        path = change_config(folder_copy, lambda config: config.pop("preprocess_cfg"))
    else:
        path = change_config(folder_copy, lambda config: config.update(preprocess_cfg=preprocess))
    message = catch_error(WeightsMismatch, f"local-dir:{folder_copy}")
    assert str(path) in message
    assert "add mean and std to preprocess_cfg" in message


def test_the_text_encoder_needs_the_image_preprocessing_too(folder_copy: Path) -> None:
    # Its embeddings would be correct, but no image embeddings could be compared with them.
    change_config(folder_copy, lambda config: config.pop("preprocess_cfg"))
    with pytest.raises(WeightsMismatch):
        load_text_encoder(f"local-dir:{folder_copy}")


def test_a_folder_without_weights_is_an_error_with_the_expected_names(folder_copy: Path) -> None:
    (folder_copy / WEIGHTS).unlink()
    message = catch_error(BadInput, f"local-dir:{folder_copy}")
    assert str(folder_copy) in message
    assert WEIGHTS in message
    assert PICKLED in message


def test_a_folder_without_a_configuration_is_an_error_with_the_file_name(folder_copy: Path) -> None:
    (folder_copy / CONFIG).unlink()
    assert str(folder_copy / CONFIG) in catch_error(BadInput, f"local-dir:{folder_copy}")


def test_a_missing_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in catch_error(BadInput, f"local-dir:{tmp_path / 'absent'}")


@pytest.mark.parametrize("contents", ["", "{", "[]", "7", "null", "{}", '"model_cfg"', b"\xff\xfe"])
def test_an_invalid_configuration_is_an_error_with_the_file_name(folder_copy: Path, contents: str | bytes) -> None:
    (folder_copy / CONFIG).write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    assert str(folder_copy / CONFIG) in catch_error(BadInput, f"local-dir:{folder_copy}")


def test_safetensors_are_preferred(folder_copy: Path, model_folder: Path) -> None:
    (folder_copy / PICKLED).write_bytes(b"never read")
    assert find_model_files(f"local-dir:{folder_copy}").weights == folder_copy / WEIGHTS
    assert load_image_encoder(f"local-dir:{folder_copy}").space == load_image_encoder(f"local-dir:{model_folder}").space


def test_pickled_weights_in_a_folder_give_the_same_space(folder_copy: Path, model_folder: Path) -> None:
    torch.save(load_file(folder_copy / WEIGHTS), folder_copy / PICKLED)
    (folder_copy / WEIGHTS).unlink()
    assert load_image_encoder(f"local-dir:{folder_copy}").space == load_image_encoder(f"local-dir:{model_folder}").space


@pytest.fixture(scope="module")
def architecture(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Add the small architecture to open_clip's list."""
    name = "tiny-for-tests"
    path = tmp_path_factory.mktemp("architectures") / f"{name}.json"
    path.write_text(json.dumps(json.loads((model_folder / CONFIG).read_text())["model_cfg"]))
    open_clip.add_model_config(path)
    return name


@pytest.fixture(params=[".safetensors", ".pt"])
def bare_file(request: pytest.FixtureRequest, model_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / f"weights{request.param}"
    if request.param == ".safetensors":
        return Path(shutil.copy(model_folder / WEIGHTS, path))
    torch.save(load_file(model_folder / WEIGHTS), path)
    return path


def test_a_bare_file_is_an_error_with_the_missing_options(bare_file: Path) -> None:
    message = catch_error(WeightsMismatch, str(bare_file))
    assert str(bare_file) in message
    for hint in ("architecture=", "preprocess=", "local-dir:"):
        assert hint in message


def test_a_bare_file_needs_its_preprocessing(bare_file: Path, architecture: str) -> None:
    assert "preprocess=" in catch_error(WeightsMismatch, str(bare_file), architecture=architecture)


def test_a_bare_file_needs_its_architecture(bare_file: Path, preprocess_config: dict[str, Any]) -> None:
    assert "architecture=" in catch_error(WeightsMismatch, str(bare_file), preprocess=preprocess_config)


@pytest.mark.parametrize("missing_key", ["mean", "std", "interpolation", "resize_mode"])
def test_a_bare_file_needs_its_complete_preprocessing(
    bare_file: Path, architecture: str, preprocess_config: dict[str, Any], missing_key: str
) -> None:
    del preprocess_config[missing_key]
    message = catch_error(WeightsMismatch, str(bare_file), architecture=architecture, preprocess=preprocess_config)
    assert missing_key in message


def test_a_bare_file_with_its_options_returns_open_clips_embeddings(
    bare_file: Path,
    architecture: str,
    preprocess_config: dict[str, Any],
    reference: Any,
    images: list[np.ndarray],
    texts: list[str],
) -> None:
    options = {"architecture": architecture, "preprocess": preprocess_config}
    image, text = load_image_encoder(str(bare_file), **options), load_text_encoder(str(bare_file), **options)
    np.testing.assert_allclose(encode(image, images), reference.embed_images(images), rtol=0, atol=1e-6)
    np.testing.assert_allclose(encode(text, texts), reference.embed_texts(texts), rtol=0, atol=1e-6)
    assert image.space == text.space
    assert image.space.name == "weights"


def test_two_encoders_of_one_file_have_their_own_architecture(
    bare_file: Path,
    architecture: str,
    preprocess_config: dict[str, Any],
    tmp_path: Path,
    reference: Any,
    texts: list[str],
) -> None:
    # The same shapes with another activation: only the option differs.
    quick = open_clip.get_model_config(architecture) | {"quick_gelu": True}
    (tmp_path / "tiny-quick-for-tests.json").write_text(json.dumps(quick))
    open_clip.add_model_config(tmp_path / "tiny-quick-for-tests.json")
    load_image_encoder(str(bare_file), architecture=architecture, preprocess=preprocess_config)
    text = load_text_encoder(str(bare_file), architecture="tiny-quick-for-tests", preprocess=preprocess_config)
    assert np.abs(encode(text, texts) - reference.embed_texts(texts)).max() > 1e-4


def test_a_missing_bare_file_is_an_error_with_its_path(
    tmp_path: Path, architecture: str, preprocess_config: dict[str, Any]
) -> None:
    path = str(tmp_path / "absent.safetensors")
    assert path in catch_error(BadInput, path, architecture=architecture, preprocess=preprocess_config)


def test_an_unknown_architecture_of_a_bare_file_suggests_the_nearest(
    bare_file: Path, preprocess_config: dict[str, Any]
) -> None:
    message = catch_error(BadOption, str(bare_file), architecture="ViT-B-23", preprocess=preprocess_config)
    assert "'ViT-B-23'" in message
    assert "did you mean 'ViT-B-32'" in message


class FileCreator:
    """Creates a file when unpickled, as a malicious weight file could."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.open, (str(self.path), "w")


@pytest.mark.parametrize("location", ["bare file", "folder"])
def test_a_pickle_with_code_is_an_error_and_the_code_is_not_executed(
    folder_copy: Path, architecture: str, preprocess_config: dict[str, Any], tmp_path: Path, location: str
) -> None:
    trace = tmp_path / "code-executed"
    path = tmp_path / "hostile.pt" if location == "bare file" else folder_copy / PICKLED
    (folder_copy / WEIGHTS).unlink()
    torch.save({"visual.proj": torch.zeros(3), "code": FileCreator(trace)}, path)
    if location == "bare file":
        message = catch_error(WeightsMismatch, str(path), architecture=architecture, preprocess=preprocess_config)
    else:
        message = catch_error(WeightsMismatch, f"local-dir:{folder_copy}")
    assert str(path) in message
    assert not trace.exists()
    assert bytes(trace) in path.read_bytes()  # the file does contain the call


def test_an_unknown_architecture_suggests_the_nearest() -> None:
    message = catch_error(BadOption, "ViT-B-23/openai")
    assert "'ViT-B-23'" in message
    assert "did you mean 'ViT-B-32'" in message


def test_an_unknown_tag_suggests_the_nearest() -> None:
    message = catch_error(BadOption, "ViT-B-32/openay")
    assert "'openay'" in message
    assert "did you mean 'openai'?" in message


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-32/"])
def test_an_architecture_without_a_tag_is_an_error_that_lists_its_tags(model: str) -> None:
    message = catch_error(BadOption, model)
    assert "ViT-B-32/TAG" in message
    for tag in open_clip.list_pretrained_tags_by_model("ViT-B-32"):
        assert tag in message


# The hub. Three processes run in parallel, since importing torch takes most of their time; the tests read their
# reports. READ_CACHE has all files in its cache and lists attempted connections; FIND_OFFLINE has an empty cache and no
# network; DOWNLOAD has a local server of the part of the hub's protocol that it needs.

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
    lay_out(full_cache, "org/repo", {name: model_folder / name for name in (CONFIG, WEIGHTS)}, "ab" * 20)
    # Dummy contents: these weights are only found, not read.
    lay_out(full_cache, B32_OPENAI, {WEIGHTS: b"openai"}, "0a" * 20)
    lay_out(full_cache, B32_LAION, {PICKLED: b"pickled only"}, "1b" * 20)
    lay_out(full_cache, ROBERTA_LAION, {WEIGHTS: b"roberta", PICKLED: b"the second choice"}, "2c" * 20)
    np.savez(full_cache / "images.npz", *images[:3])

    config = (model_folder / CONFIG).read_bytes()
    repositories = {
        "org/whole": {CONFIG: config, WEIGHTS: b"safe", PICKLED: b"pickled"},
        "org/pickled": {CONFIG: config, PICKLED: b"pickled"},
        "org/interrupted": {CONFIG: config, WEIGHTS: b"safe"},
    }
    lay_out(partial_cache, "org/interrupted", {CONFIG: config}, COMMIT)

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


def test_an_invalid_repository_name_is_an_error() -> None:
    assert "'no repository'" in catch_error(BadOption, "hf-hub:no repository")


def test_a_download_prefers_safetensors(download_report: dict[str, Any]) -> None:
    assert download_report["org/whole"] == [WEIGHTS, "safe", f"org/whole@{COMMIT}"]


def test_a_download_falls_back_to_pickled_weights(download_report: dict[str, Any]) -> None:
    assert download_report["org/pickled"] == [PICKLED, "pickled", f"org/pickled@{COMMIT}"]


def test_an_interrupted_download_resumes(download_report: dict[str, Any]) -> None:
    assert download_report["org/interrupted"] == [WEIGHTS, "safe", f"org/interrupted@{COMMIT}"]
