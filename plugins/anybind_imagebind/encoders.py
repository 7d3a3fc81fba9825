"""ImageBind's sound, depth and image encoders with their preprocessing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import TorchEncoder, export, samples
from anybind_imagebind.image_input import IMAGE_MEAN, IMAGE_STD, SIDE, ImageBindImageInput
from anybind_imagebind.inputs import ImageBindDepthInput, ImageBindSoundInput
from anybind_imagebind.modules import DEPTH, IMAGE, SOUND, Architecture
from anybind_imagebind.weights import REPOSITORY, load_module


class ImageBindSoundEncoder(TorchEncoder):
    """A sound encoder over mel spectrograms of three 2 s clips; the embedding is the mean of the clips' embeddings.

    The first channel is resampled to 16 kHz, and the mean of each clip is subtracted in place before its spectrogram is
    computed: overlapping clips share the subtraction, as upstream. Recordings shorter than a clip are zero-padded as
    spectrograms; recordings shorter than 25 ms are first padded with silence to 25 ms.
    """

    def __init__(
        self,
        weights: str = REPOSITORY,
        *,
        revision: str | None = None,
        clips: str = "pytorchvideo",
        architecture: Architecture = SOUND,
    ) -> None:
        """Load the encoder.

        Args:
            weights: a file, a folder, or a hub repository.
            revision: revision of the repository. [default: the revision tested with this plugin]
            clips: clip starts in a recording of D seconds: `pytorchvideo`, evenly spaced to the end, i * (D - 2) / 2,
                as in the version that upstream pins; or `pytorchvideo-0.1.5`, as in the release, i * (D - 2) / 3.
            architecture: expected sizes of the weights.

        Raises:
            BadOption: unknown `clips`.
            BadInput, WeightsMismatch: see `load_module`.
        """
        self.input = ImageBindSoundInput(clips)
        module, space = load_module(architecture, weights, revision)
        super().__init__(
            module,
            modality="sound",
            space=space,
            preprocessing=self.input.settings,
            logit_scale=read_logit_scale(module),
        )
        self.reader_options = self.input.reader_options

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Map a waveform to its clips, (3, 1, 128, 204) float32.

        Raises:
            BadInput: no samples, no sample rate, or samples that are not finite.
        """
        return self.input.preprocess(sample)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        """Map (n, clips, 1, 128, 204) to (n, dim): the mean of the clips' unit vectors, not normalised."""
        return ClipMean(self.module)(batch)

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(ClipMean(self.module), "imagebind-sound", {"clips": self.input.clips})


class ClipMean(torch.nn.Module):
    """The mean of the unit vectors of a recording's clips."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """Map (n, clips, 1, 128, 204) to (n, dim), not normalised."""
        vectors = self.module(clips.flatten(0, 1))
        return functional.normalize(vectors, dim=1).unflatten(0, (-1, clips.shape[1])).mean(dim=1)


class ImageBindDepthEncoder(TorchEncoder):
    """A depth encoder over disparity maps, baseline * focal length / depth, as in training.

    Depth is clamped to [0.01, 50] m and disparity to [0.01, 75] pixels, then divided by 75. The short side is resized
    to 224 (bicubic, antialiased, as upstream resizes images; its depth loader is not published): values may overshoot
    at edges, as in training. Then the centre is cropped. Pixels of unknown depth get the median disparity.
    """

    def __init__(
        self,
        weights: str = REPOSITORY,
        *,
        revision: str | None = None,
        fx: float | None = None,
        baseline: float | None = None,
        architecture: Architecture = DEPTH,
    ) -> None:
        """Load the encoder.

        Args:
            weights: a file, a folder, or a hub repository.
            revision: revision of the repository. [default: the revision tested with this plugin]
            fx: focal length in pixels of depth maps without one.
            baseline: baseline in metres of depth maps without one: 0.075 for Kinect, 0.095 for RealSense and Xtion.
            architecture: expected sizes of the weights.

        Raises:
            BadOption: `fx` or `baseline` is not above 0.
            BadInput, WeightsMismatch: see `load_module`.
        """
        self.input = ImageBindDepthInput(fx, baseline)
        module, space = load_module(architecture, weights, revision)
        super().__init__(
            module,
            modality="depth",
            space=space,
            preprocessing=self.input.settings,
            logit_scale=read_logit_scale(module),
        )

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """Map a depth map to (1, 224, 224) float32.

        Raises:
            BadInput: no pixel of known depth, or focal length or baseline is set neither by the map nor the encoder.
        """
        return self.input.preprocess(sample)

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(self.module, "imagebind-depth", {"fx": self.input.fx, "baseline": self.input.baseline})


class ImageBindImageEncoder(TorchEncoder):
    """An image encoder: the short side is resized to 224 (Pillow, bicubic), and the centre is cropped."""

    def __init__(
        self, weights: str = REPOSITORY, *, revision: str | None = None, architecture: Architecture = IMAGE
    ) -> None:
        """Load the encoder.

        Args:
            weights: a file, a folder, or a hub repository.
            revision: revision of the repository. [default: the revision tested with this plugin]
            architecture: expected sizes of the weights.

        Raises:
            BadInput, WeightsMismatch: see `load_module`.
        """
        module, space = load_module(architecture, weights, revision)
        settings: Mapping[str, object] = {
            "side": SIDE,
            "interpolation": "bicubic",
            "mean": list(IMAGE_MEAN),
            "std": list(IMAGE_STD),
        }
        super().__init__(module, modality="image", space=space, preprocessing=settings)
        self.input = ImageBindImageInput()
        self.reader_options = self.input.reader_options

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Map (height, width, 3) uint8 to (3, 224, 224) float32."""
        return torch.from_numpy(self.input.preprocess(sample))

    def plan_export(self) -> export.ExportPlan:
        return export.ExportPlan(self.module, "imagebind-image")


def read_logit_scale(module: torch.nn.Module) -> float:
    """Return the logit scale of the weights: 20 for sound, 5 for depth."""
    return float(module.get_buffer("log_logit_scale").exp())
