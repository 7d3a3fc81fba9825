"""From the weight file to one tower: only its weights, all of them, from a file, a folder or the hub's cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
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
from anybind_imagebind.encoders import ImageBindDepthEncoder, ImageBindImageEncoder, ImageBindSoundEncoder
from anybind_imagebind.weights import REPOSITORY, REVISION, load_module

BLOCK = (
    "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias", "norm_1.weight",
    "norm_1.bias", "norm_2.weight", "norm_2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
)  # fmt: skip
OF_ALL = {
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
    OF_ALL[key] = [
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
    ("of", "count", "millions"),
    [(SOUND, 177, 86.24), (DEPTH, 177, 21.87), (IMAGE, 392, 632.83), (TEXT, 295, 354.03)],
    ids=lambda value: getattr(value, "key", None),
)
def test_a_full_size_tower_has_upstreams_weights_by_name(of: Architecture, count: int, millions: float) -> None:
    with torch.device("meta"):
        module = (TextTransformer if of.vocabulary else PatchTransformer)(of)
    names = {map_weight_name(of, name) for name in module.state_dict()}
    blocks = [*BLOCK, "attn.bias_k", "attn.bias_v"] if of.is_bound else BLOCK
    expected = {f"modality_trunks.{of.key}.blocks.{n}.{name}" for n in range(of.blocks) for name in blocks}
    assert names == expected | set(OF_ALL[of.key])
    assert len(names) == count
    assert round(sum(each.numel() for each in module.parameters()) / 1e6, 2) == pytest.approx(millions)


def test_full_size_stems_and_positions_have_upstreams_shapes() -> None:
    shapes = {}
    for of in (SOUND, DEPTH, IMAGE):
        with torch.device("meta"):
            module = PatchTransformer(of)
        shapes[of.key] = [tuple(each.shape) for each in (module.stem.weight, module.position, module.head.weight)]
    assert shapes == {
        "audio": [(768, 1, 16, 16), (1, 229, 768), (1024, 768)],
        "depth": [(384, 1, 16, 16), (1, 197, 384), (1024, 384)],
        "vision": [(1280, 3, 2, 14, 14), (1, 257, 1280), (1024, 1280)],
    }


def test_what_torch_saved_gives_the_same_tower_in_the_same_space(
    weights: str, pickled: str, architectures: Mapping[str, Architecture]
) -> None:
    ours, same = (ImageBindDepthEncoder(path, architecture=architectures["depth"]) for path in (weights, pickled))
    assert same.identity == ours.identity
    assert same.space == ours.space


def test_a_folder_stands_for_the_file_in_it(weights: str, pickled: str, architectures: Any, depth: ImageBindDepthEncoder) -> None:
    for folder in (Path(weights).parent, f"local-dir:{Path(pickled).parent}"):
        assert ImageBindDepthEncoder(str(folder), architecture=architectures["depth"]).identity == depth.identity


def test_towers_of_one_file_are_in_one_space(sound: ImageBindSoundEncoder, depth: ImageBindDepthEncoder, image: ImageBindImageEncoder) -> None:
    assert sound.space == depth.space == image.space
    assert sound.space.name == "imagebind"
    assert sound.space.dim == 16
    assert sound.space.backbone.startswith("weights:")


@pytest.fixture
def changed(whole_state: Mapping[str, torch.Tensor], tmp_path: Path) -> Callable[..., str]:
    """Write the weights with some of them changed, added or, where None, left out."""

    def change(**changes: torch.Tensor | None) -> str:
        state = {**whole_state, **{name.replace("__", "."): value for name, value in changes.items()}}
        path = tmp_path / "changed.safetensors"
        save_file({name: value for name, value in state.items() if value is not None}, path)
        return str(path)

    return change


def test_weights_of_another_training_are_in_another_space(
    changed: Callable[..., str], architectures: Any, depth: ImageBindDepthEncoder
) -> None:
    other = changed(modality_heads__vision__0__bias=torch.full((32,), 0.5))
    assert ImageBindDepthEncoder(other, architecture=architectures["depth"]).space != depth.space


def test_a_tower_that_was_trained_further_stays_in_its_space(
    changed: Callable[..., str], architectures: Any, depth: ImageBindDepthEncoder
) -> None:
    tuned = ImageBindDepthEncoder(changed(modality_heads__depth__0__bias=torch.ones(16)), architecture=architectures["depth"])
    assert tuned.space == depth.space
    assert tuned.identity != depth.identity


def test_a_file_of_one_tower_has_a_space_of_its_own(
    whole_state: Mapping[str, torch.Tensor], architectures: Any, depth: ImageBindDepthEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "depth.safetensors"
    save_file({name: value for name, value in whole_state.items() if ".depth." in name}, path)
    alone = ImageBindDepthEncoder(str(path), architecture=architectures["depth"])
    assert alone.identity == depth.identity
    assert alone.space != depth.space


def catch_error(kind: type[Exception], path: str, architecture: Architecture) -> str:
    with pytest.raises(kind) as caught:
        load_module(architecture, path)
    assert "\n" not in str(caught.value)
    assert path in str(caught.value)
    return str(caught.value)


def test_missing_weights_are_named(changed: Callable[..., str], architectures: Any) -> None:
    name = "modality_trunks.depth.blocks.1.attn.bias_k"
    assert f"lacks {name}" in catch_error(WeightsMismatch, changed(**{name: None}), architectures["depth"])


def test_weights_that_are_too_many_are_named(changed: Callable[..., str], architectures: Any) -> None:
    name = "modality_trunks.audio.blocks.2.norm_1.weight"
    message = catch_error(WeightsMismatch, changed(**{name: torch.ones(24)}), architectures["sound"])
    assert f"has too many {name}" in message


def test_weights_of_other_shapes_are_named(changed: Callable[..., str], architectures: Any) -> None:
    name = "modality_heads.vision.2.weight"
    message = catch_error(WeightsMismatch, changed(**{name: torch.ones(16, 31)}), architectures["image"])
    assert f"has other shapes of {name}" in message


def test_what_is_wrong_with_other_towers_is_no_concern_of_this_one(
    changed: Callable[..., str], architectures: Any, depth: ImageBindDepthEncoder
) -> None:
    path = changed(**{"modality_trunks.audio.blocks.0.norm_1.weight": None, "modality_heads.text.junk": torch.ones(1)})
    assert ImageBindDepthEncoder(path, architecture=architectures["depth"]).identity == depth.identity


def test_another_number_of_blocks_is_refused_with_the_first_few_names(weights: str, architectures: Any) -> None:
    message = catch_error(WeightsMismatch, weights, replace(architectures["depth"], blocks=3))
    assert "modality_trunks.depth.blocks.2" in message
    assert "and 11 more" in message


def test_half_precision_is_taken_to_full(whole_state: Any, architectures: Any, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: value.half() for name, value in whole_state.items()}, path)
    module, _ = load_module(architectures["depth"], str(path))
    assert {each.dtype for each in module.state_dict().values()} == {torch.float32}


def test_only_the_weights_of_the_tower_are_read(
    weights: str, architectures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = [], safetensors.safe_open

    class Watched:
        def __init__(self, file: Any) -> None:
            self.keys = file.keys
            self.get_tensor = lambda name: (read.append(name), file.get_tensor(name))[1]

    @contextmanager
    def watched_open(path: Path, framework: str) -> Iterator[Watched]:
        with original(path, framework=framework) as file:
            yield Watched(file)

    monkeypatch.setattr("safetensors.safe_open", watched_open)
    load_module(architectures["sound"], weights)
    beside = [name for name in read if ".audio." not in name]
    assert sorted(beside) == [f"modality_heads.vision.{name}" for name in ("0.bias", "0.weight", "2.weight")]
    assert len(read) == 9 + 2 * 14 + 3


PEAK = """
import resource, sys
import soxr
from anybind_imagebind.encoders import DepthTower, SoundTower
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
towers = [kind(sys.argv[1]) for kind in (SoundTower, DepthTower)]
assert all(tower.weights_hash for tower in towers)  # which reads every weight
print(peak() - before)
"""


@pytest.mark.slow
def test_both_towers_take_less_than_600_mb_of_a_file_of_full_size(sparse_file: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", PEAK, str(sparse_file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sparse_file.stat().st_size > 4.3e9
    assert int(ended.stdout) < 600


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("held", [b"", b"no weights", b"PK\x03\x04", b"\xff" * 100], ids=["empty", "text", "zip", "ff"])
def test_what_is_no_weight_file_is_refused_in_one_line(tmp_path: Path, held: bytes, suffix: str) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(held)
    assert str(path) in catch_error(BadInput, str(path), DEPTH)


def test_a_truncated_file_is_refused(weights: str, pickled: str, tmp_path: Path) -> None:
    for whole in (weights, pickled):
        path = tmp_path / Path(whole).name
        path.write_bytes(Path(whole).read_bytes()[:-100])
        catch_error(BadInput, str(path), DEPTH)


class TouchOnUnpickling:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"modality_heads.depth.0.weight": TouchOnUnpickling()}, tmp_path / "evil.pth")
    catch_error(BadInput, str(tmp_path / "evil.pth"), DEPTH)
    assert not (tmp_path / "executed").exists()


def test_a_file_that_holds_no_state_dict_is_refused(tmp_path: Path, whole_state: Any) -> None:
    for held in (torch.ones(3), [torch.ones(3)], {"state_dict": dict(whole_state)}):
        torch.save(held, tmp_path / "other.pth")
        assert "state dict" in catch_error(WeightsMismatch, str(tmp_path / "other.pth"), DEPTH)


@pytest.mark.parametrize(
    ("source", "revision", "asked"),
    [
        (REPOSITORY, None, REVISION),
        (REPOSITORY, "main", "main"),
        ("org/repo", None, None),
        ("org/repo", "v2", "v2"),
    ],
)
def test_the_published_repository_is_asked_for_the_revision_that_was_checked(
    source: str,
    revision: str | None,
    asked: str | None,
    weights: str,
    architectures: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def found(source: str, *, file: tuple[str, ...], revision: str | None) -> Path:
        calls.append((source, file, revision))
        return Path(weights)

    monkeypatch.setattr("anybind.hub.find_weights_file", found)
    load_module(architectures["depth"], source, revision)
    assert calls == [(source, ("model.safetensors", "imagebind_huge.pth"), asked)]


EMBED = """
import socket, sys
tried = []
def refuse(*arguments, **options):
    tried.append(arguments)
    raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from dataclasses import replace
from anybind_imagebind.modules import DEPTH
from anybind_imagebind.encoders import DepthTower
from anybind_media.depth import DepthMap
import numpy as np
tower = DepthTower(architecture=replace(DEPTH, width=16, blocks=2, heads=2, dim=16))
vector = tower.encode([tower.preprocess(DepthMap(np.full((9, 9), 2.0, np.float32), fx=500.0, baseline=0.075))])
print(tower.space.backbone, tower.identity, np.isfinite(vector).all(), tried)
"""


@pytest.mark.slow
def test_a_tower_loads_and_embeds_without_network_once_its_file_is_here(
    weights: str, depth: ImageBindDepthEncoder, tmp_path: Path
) -> None:
    root = tmp_path / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    shutil.copy(weights, snapshot / "model.safetensors")
    environment = {"HF_HUB_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", EMBED], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    # The space and identity of the same weights from a file.
    assert ended.stdout.split("\n")[0] == f"{depth.space.backbone} {depth.identity} True []"
