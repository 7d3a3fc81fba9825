"""The towers of what is seen: pictures, thermal pictures, depth maps and films."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from anybind.plugin import BadInput, TorchEncoder, samples
from anybind_languagebind.checkpoint import VISION, Checkpoint, load_checkpoint
from anybind_languagebind.pixels import MEAN, STD, resize_and_crop, normalize_channels
from anybind_languagebind.thermal import ThermalImage
from anybind_languagebind.vision_tower import build_vision_tower

NEAREST = 0.01
"""Least depth in metres, also where none is known."""
FARTHEST = 10.0
FRAMES = 8
BYTES = 255.0


class VideoFrames(samples.VideoSample, Protocol):
    """A video; `pictures` lists its files if it is a folder of frames, and is empty otherwise."""

    @property
    def pictures(self) -> Sequence[Path]: ...


class _VisionEncoder(TorchEncoder):
    """A tower whose inputs are squares."""

    def __init__(self, checkpoint: Checkpoint, modality: str, *, frames: int = 0, **preprocessing: object) -> None:
        self.side = checkpoint.read_section("vision_config").read_side("image_size")
        super().__init__(
            build_vision_tower(checkpoint, (self.side, self.side), frames),
            modality=modality,
            space=checkpoint.space,
            preprocessing={"side": self.side, "mean": list(MEAN), "std": list(STD), **preprocessing},
            logit_scale=checkpoint.logit_scale,
        )


class LanguageBindImageEncoder(_VisionEncoder):
    """Pictures: 0 to 1, short side to `image_size` (bicubic), middle square, standardised.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
        revision: of the repository.
        antialias: average while scaling down. True is what upstream does on torchvision of 0.17 and newer; on the
            0.14 that it was trained with, it did not.

    Raises:
        BadInput, BadOption, WeightsMismatch: as `open_checkpoint` and `vision_features`.
    """

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Image", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        self.antialias = antialias
        super().__init__(load_checkpoint(model, VISION, revision), "image", antialias=antialias)

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 to (3, side, side) float32."""
        pixels = _to_planes(sample) / BYTES
        return normalize_channels(resize_and_crop(pixels, self.side, mode="bicubic", antialias=self.antialias))


class LanguageBindThermalEncoder(_VisionEncoder):
    """Thermal pictures, gray or in false colours, as `ImageTower` takes pictures; the same arguments and errors."""

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Thermal", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        self.antialias = antialias
        super().__init__(load_checkpoint(model, VISION, revision), "thermal", antialias=antialias)

    def preprocess(self, sample: ThermalImage) -> torch.Tensor:
        """A thermal picture to (3, side, side) float32."""
        pixels = _to_planes(sample.pixels) / BYTES
        return normalize_channels(resize_and_crop(pixels, self.side, mode="bicubic", antialias=self.antialias))


class LanguageBindDepthEncoder(_VisionEncoder):
    """Depth maps: metres clipped to 0.01 and `max_depth` and divided by it, in all three channels; then as pictures.

    Where the depth is not known it is taken as 0.01 m, the zero that files of depth hold there. Arguments and errors
    as `ImageTower`.
    """

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Depth", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        checkpoint = load_checkpoint(model, VISION, revision)
        self.antialias = antialias
        section = checkpoint.read_section("vision_config")
        self.farthest = section.read_number("max_depth", FARTHEST, positive=True)
        if self.farthest <= NEAREST:
            raise BadInput(f"{section.path}: vision_config.max_depth must be above {NEAREST} m, got {self.farthest}")
        super().__init__(checkpoint, "depth", antialias=antialias, max_depth=self.farthest)

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """A depth map to (3, side, side) float32."""
        metres = np.clip(np.nan_to_num(sample.metres, nan=0.0), NEAREST, self.farthest) / np.float32(self.farthest)
        planes = torch.from_numpy(metres.astype(np.float32, copy=False)).expand(3, -1, -1)
        return normalize_channels(resize_and_crop(planes, self.side, mode="bicubic", antialias=self.antialias))


class LanguageBindVideoEncoder(_VisionEncoder):
    """Films: `num_frames` frames, standardised, short side to `image_size` (bilinear), middle square; never mirrored.

    Of a film of n frames, those of the numbers that lie evenly from 0 to n - 1, cut to whole numbers; a film of fewer
    frames than the tower wants shows some of them again. Film files do not say how many frames they hold, so they are
    played twice: to count, and to take. Arguments and errors as `ImageTower`; upstream never averages while scaling.
    """

    def __init__(self, model: str = "LanguageBind/LanguageBind_Video_FT", revision: str | None = None) -> None:
        checkpoint = load_checkpoint(model, VISION, revision)
        self.frames = checkpoint.read_section("vision_config").read_count("num_frames", FRAMES)
        super().__init__(checkpoint, "video", frames=self.frames, num_frames=self.frames)

    def preprocess(self, sample: VideoFrames) -> torch.Tensor:
        """A film to (frames, 3, side, side) float32."""
        count = len(sample.pictures) or sum(1 for _ in sample.frames())
        indices = np.linspace(0, count - 1, self.frames).astype(int)
        frames: dict[int, torch.Tensor] = {}
        for number, frame in enumerate(sample.frames()):
            if number in indices:
                planes = normalize_channels(_to_planes(frame.rgb()) / BYTES)
                frames[number] = resize_and_crop(planes, self.side, mode="bilinear", antialias=False)
        return torch.stack([frames[place] for place in indices])


def _to_planes(pixels: np.ndarray) -> torch.Tensor:
    """(height, width, 3) uint8 to (3, height, width) float32, 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32))
