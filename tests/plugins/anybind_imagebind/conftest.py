"""Small towers of the true layout, and files of them as upstream has its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

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

SMALL = {
    "sound": replace(SOUND, width=24, blocks=2, heads=2, dim=16),
    "depth": replace(DEPTH, width=16, blocks=2, heads=2, dim=16),
    "image": replace(IMAGE, width=32, blocks=2, heads=4, dim=16),
    "text": replace(TEXT, width=32, blocks=2, heads=2, dim=16),
}
SCALES = {"audio": 20.0, "depth": 5.0, "text": 140.0}


def make_random_state(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Weights by upstream's names, every one drawn at random."""
    module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
    state = {map_weight_name(architecture, name): value for name, value in module.state_dict().items()}
    for name, value in state.items():
        if name.endswith("log_logit_scale"):
            value.fill_(SCALES[architecture.key]).log_()
        elif not name.endswith(".mask"):
            value.copy_((value == 1) + 0.2 * torch.randn_like(value))  # norms begin with ones
    return state


@pytest.fixture(scope="session")
def architectures() -> dict[str, Architecture]:
    return SMALL


@pytest.fixture(scope="session")
def whole_state() -> dict[str, torch.Tensor]:
    """All towers, and some weights of one that nobody asks for; tests leave it as it is."""
    torch.manual_seed(0)
    state = {name: value for of in SMALL.values() for name, value in make_random_state(of).items()}
    return state | {"modality_trunks.thermal.blocks.0.norm_1.weight": torch.ones(24)}


@pytest.fixture(scope="session")
def weights(whole_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file; tests leave it as it is."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(whole_state, path)
    return str(path)


@pytest.fixture(scope="session")
def pickled(whole_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same weights as torch saves them, in a folder by upstream's name."""
    path = tmp_path_factory.mktemp("pickled") / "imagebind_huge.pth"
    torch.save(whole_state, path)
    return str(path)


@pytest.fixture(scope="session")
def sound(weights: str) -> ImageBindSoundEncoder:
    return ImageBindSoundEncoder(weights, architecture=SMALL["sound"])


@pytest.fixture(scope="session")
def depth(weights: str) -> ImageBindDepthEncoder:
    return ImageBindDepthEncoder(weights, architecture=SMALL["depth"])


@pytest.fixture(scope="session")
def image(weights: str) -> ImageBindImageEncoder:
    return ImageBindImageEncoder(weights, architecture=SMALL["image"])


@pytest.fixture(scope="session")
def sparse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of imagebind_huge's true size, 4.5 GB, that takes next to no room on the disk: all weights are zero."""
    header: dict[str, object] = {}
    end = 0
    for of in (SOUND, DEPTH, IMAGE, TEXT):
        with torch.device("meta"):
            module = (TextTransformer if of.vocabulary else PatchTransformer)(of)
        for name, value in module.state_dict().items():
            size = 4 * value.numel()
            header[map_weight_name(of, name)] = {
                "dtype": "F32",
                "shape": list(value.shape),
                "data_offsets": [end, end + size],
            }
            end += size
    text = json.dumps(header).encode()
    path = tmp_path_factory.mktemp("sparse") / "model.safetensors"
    with path.open("wb") as file:
        file.write(np.uint64(len(text)).tobytes() + text)
        file.truncate(8 + len(text) + end)
    return path
