"""Loading one encoder's weights from a file, a folder or the hub's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from anybind import BadInput
from anybind.errors import WeightsMismatch
from anybind_imagebind.encoders import ImageBindDepthEncoder, ImageBindImageEncoder, ImageBindSoundEncoder
from anybind_imagebind.modules import (
    DEPTH,
    IMAGE,
    SOUND,
    TEXT,
    Architecture,
    PatchTransformer,
    TextTransformer,
    map_weight_name,
)
from anybind_imagebind.weights import REPOSITORY, REVISION, load_module

BLOCK = (
    "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias", "norm_1.weight",
    "norm_1.bias", "norm_2.weight", "norm_2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
)  # fmt: skip
OTHER_WEIGHTS = {
    "vision": [
        "modality_preprocessors.vision.cls_token",
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight",
        "modality_preprocessors.vision.pos_embedding_helper.pos_embed",
        "modality_trunks.vision.pre_transformer_layer.0.weight",
        "modality_trunks.vision.pre_transformer_layer.0.bias",
        "modality_heads.vision.0.weight",
        "modality_heads.vision.0.bias",
        "modality_heads.vision.2.weight",
    ],
    "text": [
        "modality_preprocessors.text.pos_embed",
        "modality_preprocessors.text.mask",
        "modality_preprocessors.text.token_embedding.weight",
        "modality_heads.text.proj.0.weight",
        "modality_heads.text.proj.0.bias",
        "modality_heads.text.proj.1.weight",
        "modality_postprocessors.text.1.log_logit_scale",
    ],
}
for key, stem in (("audio", "rgbt_stem"), ("depth", "depth_stem")):
    OTHER_WEIGHTS[key] = [
        f"modality_preprocessors.{key}.cls_token",
        f"modality_preprocessors.{key}.{stem}.proj.weight",
        f"modality_preprocessors.{key}.{stem}.norm_layer.weight",
        f"modality_preprocessors.{key}.{stem}.norm_layer.bias",
        f"modality_preprocessors.{key}.pos_embedding_helper.pos_embed",
        f"modality_heads.{key}.0.weight",
        f"modality_heads.{key}.0.bias",
        f"modality_heads.{key}.2.weight",
        f"modality_postprocessors.{key}.1.log_logit_scale",
    ]


@pytest.mark.parametrize(
    ("architecture", "count", "millions"),
    [(SOUND, 177, 86.24), (DEPTH, 177, 21.87), (IMAGE, 392, 632.83), (TEXT, 295, 354.03)],
    ids=lambda value: getattr(value, "key", None),
)
def test_a_full_size_module_has_the_upstream_weight_names(
    architecture: Architecture, count: int, millions: float
) -> None:
    with torch.device("meta"):
        module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
    names = {map_weight_name(architecture, name) for name in module.state_dict()}
    blocks = [*BLOCK, "attn.bias_k", "attn.bias_v"] if architecture.is_bound else BLOCK
    expected = {
        f"modality_trunks.{architecture.key}.blocks.{n}.{name}" for n in range(architecture.blocks) for name in blocks
    }
    assert names == expected | set(OTHER_WEIGHTS[architecture.key])
    assert len(names) == count
    assert round(sum(each.numel() for each in module.parameters()) / 1e6, 2) == pytest.approx(millions)


def test_full_size_modules_have_the_upstream_shapes() -> None:
    shapes = {}
    for architecture in (SOUND, DEPTH, IMAGE):
        with torch.device("meta"):
            module = PatchTransformer(architecture)
        shapes[architecture.key] = [
            tuple(each.shape) for each in (module.stem.weight, module.position, module.head.weight)
        ]
    assert shapes == {
        "audio": [(768, 1, 16, 16), (1, 229, 768), (1024, 768)],
        "depth": [(384, 1, 16, 16), (1, 197, 384), (1024, 384)],
        "vision": [(1280, 3, 2, 14, 14), (1, 257, 1280), (1024, 1280)],
    }


def test_pickled_weights_give_the_same_identity_and_space(
    weights: str, pickled_weights: str, architectures: Mapping[str, Architecture]
) -> None:
    encoder, unpickled = (
        ImageBindDepthEncoder(path, architecture=architectures["depth"]) for path in (weights, pickled_weights)
    )
    assert unpickled.identity == encoder.identity
    assert unpickled.space == encoder.space


def test_a_folder_is_an_alias_of_its_weight_file(
    weights: str, pickled_weights: str, architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    for folder in (Path(weights).parent, f"local-dir:{Path(pickled_weights).parent}"):
        assert (
            ImageBindDepthEncoder(str(folder), architecture=architectures["depth"]).identity == depth_encoder.identity
        )


def test_encoders_of_one_file_share_a_space(
    sound_encoder: ImageBindSoundEncoder, depth_encoder: ImageBindDepthEncoder, image_encoder: ImageBindImageEncoder
) -> None:
    assert sound_encoder.space == depth_encoder.space == image_encoder.space
    assert sound_encoder.space.name == "imagebind"
    assert sound_encoder.space.dim == 16
    assert sound_encoder.space.backbone.startswith("weights:")


@pytest.fixture
def change_weights(full_state: Mapping[str, torch.Tensor], tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes the weights with some changed, added or (None) removed."""

    def change(**changes: torch.Tensor | None) -> str:
        state = {**full_state, **{name.replace("__", "."): value for name, value in changes.items()}}
        path = tmp_path / "changed.safetensors"
        save_file({name: value for name, value in state.items() if value is not None}, path)
        return str(path)

    return change


def test_weights_of_another_training_run_have_another_space(
    change_weights: Callable[..., str], architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    other = change_weights(modality_heads__vision__0__bias=torch.full((32,), 0.5))
    assert ImageBindDepthEncoder(other, architecture=architectures["depth"]).space != depth_encoder.space


def test_a_finetuned_encoder_keeps_its_space(
    change_weights: Callable[..., str], architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    finetuned = ImageBindDepthEncoder(
        change_weights(modality_heads__depth__0__bias=torch.ones(16)), architecture=architectures["depth"]
    )
    assert finetuned.space == depth_encoder.space
    assert finetuned.identity != depth_encoder.identity


def test_a_file_of_one_encoder_has_its_own_space(
    full_state: Mapping[str, torch.Tensor], architectures: Any, depth_encoder: ImageBindDepthEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "depth.safetensors"
    save_file({name: value for name, value in full_state.items() if ".depth." in name}, path)
    partial = ImageBindDepthEncoder(str(path), architecture=architectures["depth"])
    assert partial.identity == depth_encoder.identity
    assert partial.space != depth_encoder.space


def catch_error(error: type[Exception], path: str, architecture: Architecture) -> str:
    with pytest.raises(error) as caught:
        load_module(architecture, path)
    assert "\n" not in str(caught.value)
    assert path in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("modality", "name", "value", "message"),
    [
        ("depth", "modality_trunks.depth.blocks.1.attn.bias_k", None, "lacks {}"),
        ("sound", "modality_trunks.audio.blocks.2.norm_1.weight", torch.ones(24), "has too many {}"),
        ("image", "modality_heads.vision.2.weight", torch.ones(16, 31), "has other shapes of {}"),
    ],
)
def test_weights_that_do_not_match_are_an_error_with_their_names(
    change_weights: Callable[..., str], architectures: Any, modality: str, name: str, value: Any, message: str
) -> None:
    error = catch_error(WeightsMismatch, change_weights(**{name: value}), architectures[modality])
    assert message.format(name) in error


def test_invalid_weights_of_other_encoders_are_ignored(
    change_weights: Callable[..., str], architectures: Any, depth_encoder: ImageBindDepthEncoder
) -> None:
    path = change_weights(
        **{"modality_trunks.audio.blocks.0.norm_1.weight": None, "modality_heads.text.junk": torch.ones(1)}
    )
    assert ImageBindDepthEncoder(path, architecture=architectures["depth"]).identity == depth_encoder.identity


def test_another_number_of_blocks_is_an_error_with_the_first_few_names(weights: str, architectures: Any) -> None:
    message = catch_error(WeightsMismatch, weights, replace(architectures["depth"], blocks=3))
    assert "modality_trunks.depth.blocks.2" in message
    assert "and 11 more" in message


def test_half_precision_weights_are_converted_to_float32(full_state: Any, architectures: Any, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: value.half() for name, value in full_state.items()}, path)
    module, _ = load_module(architectures["depth"], str(path))
    assert {each.dtype for each in module.state_dict().values()} == {torch.float32}


def test_only_the_encoders_weights_are_read(weights: str, architectures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names, original = [], safetensors.safe_open

    class RecordingFile:
        def __init__(self, file: Any) -> None:
            self.keys = file.keys
            self.get_tensor = lambda name: (names.append(name), file.get_tensor(name))[1]

    @contextmanager
    def open_recording(path: Path, framework: str) -> Iterator[RecordingFile]:
        with original(path, framework=framework) as file:
            yield RecordingFile(file)

    monkeypatch.setattr("safetensors.safe_open", open_recording)
    load_module(architectures["sound"], weights)
    others = [name for name in names if ".audio." not in name]
    assert sorted(others) == [f"modality_heads.vision.{name}" for name in ("0.bias", "0.weight", "2.weight")]
    assert len(names) == 9 + 2 * 14 + 3


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "contents", [b"", b"not weights", b"PK\x03\x04", b"\xff" * 100], ids=["empty", "text", "zip", "ff"]
)
def test_an_invalid_weight_file_is_a_one_line_error(tmp_path: Path, contents: bytes, suffix: str) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(contents)
    assert str(path) in catch_error(BadInput, str(path), DEPTH)


def test_a_truncated_file_is_an_error(weights: str, pickled_weights: str, tmp_path: Path) -> None:
    for complete in (weights, pickled_weights):
        path = tmp_path / Path(complete).name
        path.write_bytes(Path(complete).read_bytes()[:-100])
        catch_error(BadInput, str(path), DEPTH)


class TouchOnUnpickling:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_code_in_a_pickle_is_an_error_and_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"modality_heads.depth.0.weight": TouchOnUnpickling()}, tmp_path / "evil.pth")
    catch_error(BadInput, str(tmp_path / "evil.pth"), DEPTH)
    assert not (tmp_path / "executed").exists()


def test_a_file_without_a_state_dict_is_an_error(tmp_path: Path, full_state: Any) -> None:
    for contents in (torch.ones(3), [torch.ones(3)], {"state_dict": dict(full_state)}):
        torch.save(contents, tmp_path / "other.pth")
        assert "state dict" in catch_error(WeightsMismatch, str(tmp_path / "other.pth"), DEPTH)


@pytest.mark.parametrize(
    ("source", "revision", "expected_revision"),
    [
        (REPOSITORY, None, REVISION),
        (REPOSITORY, "main", "main"),
        ("org/repo", None, None),
        ("org/repo", "v2", "v2"),
    ],
)
def test_the_published_repository_is_loaded_at_the_tested_revision(
    source: str,
    revision: str | None,
    expected_revision: str | None,
    weights: str,
    architectures: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def find_file(source: str, *, file: tuple[str, ...], revision: str | None) -> Path:
        calls.append((source, file, revision))
        return Path(weights)

    monkeypatch.setattr("anybind.hub.find_weights_file", find_file)
    load_module(architectures["depth"], source, revision)
    assert calls == [(source, ("model.safetensors", "imagebind_huge.pth"), expected_revision)]
