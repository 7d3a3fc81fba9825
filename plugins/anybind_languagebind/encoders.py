"""LanguageBind's encoders of images, thermal images, depth maps and videos."""

from __future__ import annotations

import numpy as np
import torch

from anybind.plugin import BadInput, TorchEncoder, export, samples
from anybind_languagebind.checkpoint import VISION, Checkpoint, load_checkpoint
from anybind_languagebind.inputs import (
    MIN_DEPTH_M,
    LanguageBindDepthInput,
    LanguageBindImageInput,
    LanguageBindThermalInput,
    LanguageBindVideoInput,
    VideoFrames,
)
from anybind_languagebind.pixels import MEAN, STD
from anybind_languagebind.thermal import ThermalImage
from anybind_languagebind.vision_tower import build_vision_tower

MAX_DEPTH_M = 10.0
FRAMES = 8


class _VisionEncoder(TorchEncoder):
    """An encoder of square inputs."""

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
    """An image encoder: short side resized to `image_size` (bicubic), centre crop, normalised channels.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
        revision: revision of the repository.
        antialias: low-pass filter when downsampling. True is upstream's behaviour on torchvision 0.17 and newer; False
            its behaviour on 0.14, which it was trained with.

    Raises:
        BadInput, BadOption, WeightsMismatch: see `load_checkpoint` and `build_vision_tower`.
    """

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Image", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        super().__init__(load_checkpoint(model, VISION, revision), "image", antialias=antialias)
        self.input = LanguageBindImageInput(self.side, antialias)
        self.reader_options = self.input.reader_options

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Map (height, width, 3) uint8 to (3, side, side) float32."""
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        options = {"side": self.side, "antialias": self.input.antialias}
        return export.ExportPlan(self.module, "languagebind-image", options)


class LanguageBindThermalEncoder(_VisionEncoder):
    """An encoder of thermal images, grayscale or false-colour; otherwise as `LanguageBindImageEncoder`."""

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Thermal", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        super().__init__(load_checkpoint(model, VISION, revision), "thermal", antialias=antialias)
        self.input = LanguageBindThermalInput(self.side, antialias)

    def preprocess(self, sample: ThermalImage) -> torch.Tensor:
        """Map a thermal image to (3, side, side) float32."""
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        options = {"side": self.side, "antialias": self.input.antialias}
        return export.ExportPlan(self.module, "languagebind-thermal", options)


class LanguageBindDepthEncoder(_VisionEncoder):
    """A depth encoder: metres clipped to [0.01, `max_depth`], divided by `max_depth`, in three channels.

    Unknown depth is encoded as 0.01 m: depth files store it as zero. The rest as in `LanguageBindImageEncoder`.
    """

    def __init__(
        self, model: str = "LanguageBind/LanguageBind_Depth", revision: str | None = None, *, antialias: bool = True
    ) -> None:
        checkpoint = load_checkpoint(model, VISION, revision)
        section = checkpoint.read_section("vision_config")
        self.max_depth = section.read_number("max_depth", MAX_DEPTH_M, positive=True)
        if self.max_depth <= MIN_DEPTH_M:
            raise BadInput(
                f"{section.path}: vision_config.max_depth: expected a depth above {MIN_DEPTH_M} m, got {self.max_depth}"
            )
        super().__init__(checkpoint, "depth", antialias=antialias, max_depth=self.max_depth)
        self.input = LanguageBindDepthInput(self.side, antialias, self.max_depth)

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """Map a depth map to (3, side, side) float32."""
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        options = {"side": self.side, "antialias": self.input.antialias, "max_depth": self.max_depth}
        return export.ExportPlan(self.module, "languagebind-depth", options)


class LanguageBindVideoEncoder(_VisionEncoder):
    """A video encoder over `num_frames` frames: normalised, short side to `image_size` (bilinear), centre crop.

    Frame indices are evenly spaced from 0 to n - 1, rounded down; shorter videos repeat frames. Video files do not
    store their number of frames: they are decoded twice, to count frames and to read them. As upstream, frames are
    not antialiased. Arguments and errors as `LanguageBindImageEncoder`.
    """

    def __init__(self, model: str = "LanguageBind/LanguageBind_Video_FT", revision: str | None = None) -> None:
        checkpoint = load_checkpoint(model, VISION, revision)
        self.frames = checkpoint.read_section("vision_config").read_count("num_frames", FRAMES)
        super().__init__(checkpoint, "video", frames=self.frames, num_frames=self.frames)
        self.input = LanguageBindVideoInput(self.side, self.frames)

    def preprocess(self, sample: VideoFrames) -> torch.Tensor:
        """Map a video to (frames, 3, side, side) float32."""
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(self.module, "languagebind-video", {"side": self.side, "frames": self.frames})
