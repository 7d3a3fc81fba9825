"""Small encoders in place of published ones: a fixed random layer, loaded by the tests' own plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
import torch

from anybind import Space, normalize
from anybind.encoder import Encoder
from anybind.torch_encoder import TorchEncoder

SIDE = 6


class SmallImageEncoder(TorchEncoder):
    """Images, resized to a few pixels, through one linear layer."""

    def __init__(self, model: str = "", space: str = "small-image", dim: int = 16, backbone: str = "small") -> None:
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, dim))
        weights = torch.randn(dim, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(dim))
        with torch.no_grad():
            module[1].weight.copy_(weights)
            module[1].bias.fill_(0.5)
        super().__init__(module, modality="image", space=Space(space, dim, backbone), preprocessing={"side": SIDE})

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        resized = PIL.Image.fromarray(sample).resize((SIDE, SIDE))
        return torch.from_numpy(np.array(resized, dtype=np.float32)).permute(2, 0, 1) / 255


class SmallEncoder(Encoder):
    """Other samples: text by its letter counts, audio and depth maps by the magnitudes of their first values."""

    weights_hash = "0" * 12

    def __init__(
        self, modality: str = "text", model: str = "", space: str = "small-text", dim: int = 16, backbone: str = "small"
    ) -> None:
        self.modality = modality
        self.space = Space(space, dim, backbone)
        self.layer = np.random.default_rng(dim).normal(size=(26, dim))

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        return {"modality": self.modality}

    def preprocess(self, sample: Any) -> np.ndarray:
        if self.modality == "text":
            return np.array([sample.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"], dtype=float)
        values = np.abs(np.ravel(sample.samples if self.modality == "sound" else sample.metres))
        return np.resize(values, 26).astype(float)

    def encode(self, inputs: Any) -> np.ndarray:
        return normalize(np.stack(inputs) @ self.layer + 0.1)


def make_sound_encoder(dim: int = 12, space: str = "imagebind", backbone: str = "small-imagebind") -> SmallEncoder:
    """Replace ImageBind's audio encoder."""
    return SmallEncoder("sound", space=space, dim=dim, backbone=backbone)


def make_depth_encoder(dim: int = 12, space: str = "imagebind", backbone: str = "small-imagebind") -> SmallEncoder:
    """Replace ImageBind's depth encoder."""
    return SmallEncoder("depth", space=space, dim=dim, backbone=backbone)
