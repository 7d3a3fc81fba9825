"""The preprocessing of the exported encoders of `mini`: that of its encoders in torch and on ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anybind.plugin import export, samples
from anybind_mini.depth_rendering import render_depth
from anybind_mini.models import IMAGE_INPUT, IMAGE_READER_OPTIONS
from anybind_mini.sound_input import READER_OPTIONS, make_patches


class MiniImageInput(export.EncoderInput):
    """The preprocessing of images."""

    reader_options = IMAGE_READER_OPTIONS

    def __init__(self, *, folder: Path) -> None:
        pass

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        """Preprocess (height, width, 3) uint8 to (3, 224, 224) float32."""
        return IMAGE_INPUT(sample)


class MiniDepthInput(export.EncoderInput):
    """Depth maps as shaded disparity, for the preprocessing of an image encoder."""

    def __init__(self, *, folder: Path, image: Mapping[str, object]) -> None:
        self.image = export.create_nested_input(image, folder)

    def preprocess(self, sample: samples.DepthSample) -> object:
        """Preprocess a depth map, `metres` (height, width)."""
        return self.image.preprocess(render_depth(sample.metres, sample.fx))

    def collate(self, inputs: Sequence[object]) -> dict[str, np.ndarray]:
        return self.image.collate(inputs)


class MiniSoundInput(export.EncoderInput):
    """Log mel patches of audio clips."""

    reader_options = READER_OPTIONS

    def __init__(self, *, folder: Path) -> None:
        pass

    def preprocess(self, sample: samples.AudioSample) -> np.ndarray:
        """Preprocess an audio clip to log mel patches, (patches, 96, 64) float32."""
        return make_patches(sample)

    def collate(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Collate clips to the patches of all, and the share of each patch, (clips, patches), in the mean of a clip."""
        return {"patches": np.concatenate(list(inputs)), "shares": export.compute_shares(list(map(len, inputs)))}
