"""Model files by name: folders, files, open_clip's list, and errors."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
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

CONFIG, WEIGHTS, PICKLED = "open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"


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


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda config: config["preprocess_cfg"].pop("mean"), "mean"),
        (lambda config: config["preprocess_cfg"].pop("std"), "std"),
        (lambda config: config.update(preprocess_cfg={}), "mean and std"),
        (lambda config: config.update(preprocess_cfg=None), "mean and std"),
        (lambda config: config.pop("preprocess_cfg"), "mean and std"),
    ],
)
def test_a_folder_without_preprocessing_is_an_error(folder_copy: Path, change: Any, missing: str) -> None:
    path = change_config(folder_copy, change)
    message = catch_error(WeightsMismatch, f"local-dir:{folder_copy}")
    assert f"{path}: the image preprocessing is missing; add {missing} to preprocess_cfg" in message


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


@pytest.mark.parametrize("missing", ["architecture", "preprocess", "mean", "std", "interpolation", "resize_mode"])
def test_a_bare_file_needs_all_of_its_options(
    bare_file: Path, architecture: str, preprocess_config: dict[str, Any], missing: str
) -> None:
    options = {"architecture": architecture, "preprocess": preprocess_config}
    (options if missing in options else preprocess_config).pop(missing)
    assert missing in catch_error(WeightsMismatch, str(bare_file), **options)


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
        message = catch_error(BadInput, str(path), architecture=architecture, preprocess=preprocess_config)
    else:
        message = catch_error(BadInput, f"local-dir:{folder_copy}")
    assert str(path) in message
    assert not trace.exists()
    assert bytes(trace) in path.read_bytes()  # the file does contain the call


@pytest.mark.parametrize(
    ("model", "unknown", "nearest"),
    [("ViT-B-23/openai", "ViT-B-23", "ViT-B-32"), ("ViT-B-32/openay", "openay", "openai")],
)
def test_an_unknown_architecture_or_tag_suggests_the_nearest(model: str, unknown: str, nearest: str) -> None:
    message = catch_error(BadOption, model)
    assert repr(unknown) in message
    assert f"did you mean '{nearest}'" in message


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-32/"])
def test_an_architecture_without_a_tag_is_an_error_that_lists_its_tags(model: str) -> None:
    message = catch_error(BadOption, model)
    assert "ViT-B-32/TAG" in message
    for tag in open_clip.list_pretrained_tags_by_model("ViT-B-32"):
        assert tag in message


def test_an_invalid_repository_name_is_an_error() -> None:
    assert "'no repository'" in catch_error(BadOption, "hf-hub:no repository")
