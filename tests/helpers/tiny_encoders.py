"""Tiny encoders in torch that can be exported, and some that cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anybind import Space
from anybind.plugin import EncoderSpec, TorchEncoder, export

SPACE = Space("tiny", 16, "random")


class TinyImageInput(export.EncoderInput):
    """A small square image."""

    def __init__(self, *, folder: Path | None = None, side: int = 8) -> None:
        self.image = export.ImageInput(side)

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        return self.image(sample)


class TinyTextInput(export.EncoderInput):
    """Counts of letters."""

    def __init__(self, *, folder: Path | None = None) -> None:
        pass

    def preprocess(self, sample: str) -> np.ndarray:
        return np.bincount(np.frombuffer(sample.encode(), np.uint8) % 64, minlength=64).astype(np.float32)

    def collate(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {"letters": np.stack(inputs)}


class TinyImageEncoder(TorchEncoder):
    """Linear features of 8 x 8 pixels.

    Args:
        output: the function after the linear map, of `OUTPUTS`.
    """

    def __init__(self, output: str = "tanh", side: int = 8, dim: int = 16) -> None:
        torch.manual_seed(0)
        self.input, self.side, self.output = TinyImageInput(side=side), side, output
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * (side - 2) ** 2, dim)
        )
        space = SPACE if dim == SPACE.dim else Space(f"tiny-{dim}", dim, "random")
        settings = {"side": side, "output": output}
        super().__init__(_Output(module, OUTPUTS[output]), modality="image", space=space, preprocessing=settings)

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        module: Any = self.module
        traced = _Output(module.module, lambda x: torch.tanh(x) + 0.01) if self.output == "shifted" else module
        return export.ExportPlan(traced, "tiny-image", {"side": self.side})


class TinyTextEncoder(TorchEncoder):
    """Linear features of letters."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        super().__init__(torch.nn.Linear(64, 16), modality="text", space=SPACE, preprocessing={"letters": 64})
        self.input = TinyTextInput()

    def preprocess(self, sample: str) -> np.ndarray:
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(self.module, "tiny-text", axes={"letters": {0: "n"}})


class PlainEncoder(TinyTextEncoder):
    """An encoder that does not declare an export."""

    plan_export = TorchEncoder.plan_export


class _Output(torch.nn.Module):
    def __init__(self, module: torch.nn.Module, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.function(self.module(batch))


OUTPUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "shifted": torch.tanh,  # its graph is of another network
    "sharp": lambda x: torch.sin(5000 * x),  # a small error has a large effect
    "unsupported": lambda x: torch.special.bessel_j0(x),
    "fixed": lambda x: x.reshape(len(x), -1),
}

SPECS = (
    EncoderSpec(
        name="tiny-image",
        summary="tiny",
        target="helpers.tiny_encoders:TinyImageEncoder",
        modality="image",
        weights_licence="CC0-1.0",
        input_target="helpers.tiny_encoders:TinyImageInput",
    ),
    EncoderSpec(
        name="tiny-text",
        summary="tiny",
        target="helpers.tiny_encoders:TinyTextEncoder",
        modality="text",
        input_target="helpers.tiny_encoders:TinyTextInput",
    ),
    EncoderSpec(name="plain", summary="tiny", target="helpers.tiny_encoders:PlainEncoder", modality="text"),
)
