"""Small encoders of the published layout, and weight files in the upstream format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

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

SMALL = {
    "sound": replace(SOUND, width=24, blocks=2, heads=2, dim=16),
    "depth": replace(DEPTH, width=16, blocks=2, heads=2, dim=16),
    "image": replace(IMAGE, width=32, blocks=2, heads=4, dim=16),
    "text": replace(TEXT, width=32, blocks=2, heads=2, dim=16),
}
SCALES = {"audio": 20.0, "depth": 5.0, "text": 140.0}


def make_random_state(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Return random weights under their upstream names."""
    module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
    state = {map_weight_name(architecture, name): value for name, value in module.state_dict().items()}
    for name, value in state.items():
        if name.endswith("log_logit_scale"):
            value.fill_(SCALES[architecture.key]).log_()
        elif not name.endswith(".mask"):
            value.copy_((value == 1) + 0.2 * torch.randn_like(value))  # norm weights are initialised with ones
    return state


@pytest.fixture(scope="session")
def architectures() -> dict[str, Architecture]:
    return SMALL


@pytest.fixture(scope="session")
def full_state() -> dict[str, torch.Tensor]:
    """Return the weights of all encoders, and of one that is never loaded; tests do not modify it."""
    torch.manual_seed(0)
    state = {name: value for architecture in SMALL.values() for name, value in make_random_state(architecture).items()}
    return state | {"modality_trunks.thermal.blocks.0.norm_1.weight": torch.ones(24)}


@pytest.fixture(scope="session")
def weights(full_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the weight file; tests do not modify it."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(full_state, path)
    return str(path)


@pytest.fixture(scope="session")
def pickled_weights(full_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the same weights by `torch.save`, under the upstream file name."""
    path = tmp_path_factory.mktemp("pickled") / "imagebind_huge.pth"
    torch.save(full_state, path)
    return str(path)


@pytest.fixture(scope="session")
def sound_encoder(weights: str) -> ImageBindSoundEncoder:
    return ImageBindSoundEncoder(weights, architecture=SMALL["sound"])


@pytest.fixture(scope="session")
def depth_encoder(weights: str) -> ImageBindDepthEncoder:
    return ImageBindDepthEncoder(weights, architecture=SMALL["depth"])


@pytest.fixture(scope="session")
def image_encoder(weights: str) -> ImageBindImageEncoder:
    return ImageBindImageEncoder(weights, architecture=SMALL["image"])


@pytest.fixture(scope="session")
def sparse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a sparse file of the size of imagebind_huge, 4.5 GB, with zero weights."""
    header: dict[str, object] = {}
    end = 0
    for architecture in (SOUND, DEPTH, IMAGE, TEXT):
        with torch.device("meta"):
            module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
        for name, value in module.state_dict().items():
            size = 4 * value.numel()
            header[map_weight_name(architecture, name)] = {
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
