"""Stand-ins for real towers: a fixed random layer over a few numbers of a sample. Made by the tests' own plugin."""

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


class TinyImage(TorchEncoder):
    """Pictures, scaled to a few pixels, by one linear layer."""

    def __init__(self, model: str = "", space: str = "tiny-pictures", dim: int = 16, backbone: str = "tiny") -> None:
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, dim))
        weights = torch.randn(dim, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(dim))
        with torch.no_grad():
            module[1].weight.copy_(weights)
            module[1].bias.fill_(0.5)
        super().__init__(module, modality="image", space=Space(space, dim, backbone), preprocessing={"side": SIDE})

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        small = PIL.Image.fromarray(sample).resize((SIDE, SIDE))
        return torch.from_numpy(np.array(small, dtype=np.float32)).permute(2, 0, 1) / 255


class Tiny(Encoder):
    """Other samples: text by its letters, sounds and depth maps by the sizes of their first numbers."""

    weights_hash = "0" * 12

    def __init__(
        self, of: str = "text", model: str = "", space: str = "tiny-words", dim: int = 16, backbone: str = "tiny"
    ) -> None:
        self.modality = of
        self.space = Space(space, dim, backbone)
        self.layer = np.random.default_rng(dim).normal(size=(26, dim))

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        return {"of": self.modality}

    def preprocess(self, sample: Any) -> np.ndarray:
        if self.modality == "text":
            return np.array([sample.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"], dtype=float)
        numbers = np.abs(np.ravel(sample.samples if self.modality == "sound" else sample.metres))
        return np.resize(numbers, 26).astype(float)

    def encode(self, inputs: Any) -> np.ndarray:
        return normalize(np.stack(inputs) @ self.layer + 0.1)


def tiny_sound(dim: int = 12, space: str = "imagebind", backbone: str = "tiny-imagebind") -> Tiny:
    """A stand-in for ImageBind's sound tower."""
    return Tiny("sound", space=space, dim=dim, backbone=backbone)


def tiny_depth(dim: int = 12, space: str = "imagebind", backbone: str = "tiny-imagebind") -> Tiny:
    """A stand-in for ImageBind's depth tower."""
    return Tiny("depth", space=space, dim=dim, backbone=backbone)
