"""The towers of sounds, depth maps and pictures, each with its preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import PIL.Image
import torch
from torch.nn import functional

from anybind.plugin import BadInput, BadOption, Representation, TorchEncoder, create_part, errors, modalities, samples
from anybind_imagebind.modules import DEPTH, IMAGE, SOUND, Architecture
from anybind_imagebind.weights import REPOSITORY, load_module

SIDE = 224
RATE, CLIP_S, CLIPS, SHORTEST = 16_000, 2, 3, 400
MELS, FRAMES = 128, 204
SOUND_MEAN, SOUND_STD = -4.268, 9.138
CLIP_STARTS = {"pytorchvideo": CLIPS - 1, "pytorchvideo-0.1.5": CLIPS}
"""How many steps the clips' starts divide a sound into: the clip of number i starts at i * (duration - 2 s) / steps."""
NEAREST_M, FARTHEST_M = 0.01, 50.0
LOWEST_DISPARITY, HIGHEST_DISPARITY = 0.01, 75.0
DEPTH_MEAN, DEPTH_STD = 0.0418, 0.0295
IMAGE_MEAN, IMAGE_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ImageBindSoundEncoder(TorchEncoder):
    """Sounds: three clips of 2 s as spectrograms of mel bands; a sound's vector is the mean of theirs.

    A sound is taken to 16 kHz (its first channel), and of each clip the mean is subtracted before its bands are
    computed; clips that overlap share what is subtracted, as they do upstream. What is shorter than a clip is one,
    followed by nothing; what is shorter than 25 ms is first padded with silence to that. Silence has a vector like
    any other sound.
    """

    def __init__(
        self,
        weights: str = REPOSITORY,
        *,
        revision: str | None = None,
        clips: str = "pytorchvideo",
        architecture: Architecture = SOUND,
    ) -> None:
        """Load the tower.

        Args:
            weights: a file, a folder, or a repository of the hub.
            revision: of the repository; by default the one that this plugin was checked with.
            clips: where they start in a sound of D seconds: `pytorchvideo`, evenly up to the end, i * (D - 2) / 2, as
                the version that upstream pins has it; or `pytorchvideo-0.1.5`, the released version, which leaves the
                last third of what is left over: i * (D - 2) / 3.
            architecture: the sizes that the weights must have.

        Raises:
            BadOption: no such clips.
            BadInput, WeightsMismatch: see `load_module`.
        """
        if clips not in CLIP_STARTS:
            raise BadOption(f"there are no clips {clips!r}{errors.suggest_names(clips, CLIP_STARTS)}")
        self._steps = CLIP_STARTS[clips]
        self._fbank: Representation = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)
        module, space = load_module(architecture, weights, revision)
        super().__init__(
            module,
            modality="sound",
            space=space,
            preprocessing={
                "clips": clips,
                "channel": 0,
                "seconds": CLIP_S,
                "frames": FRAMES,
                "fbank": dict(self._fbank.settings),
                "mean": SOUND_MEAN,
                "std": SOUND_STD,
            },
            logit_scale=read_logit_scale(module),
        )

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """A `Waveform` to its clips, (3, 1, 128, 204) float32.

        Raises:
            BadInput: it is empty, holds what is no number, or has no rate.
        """
        if not len(sample) or sample.rate <= 0 or not np.isfinite(sample.samples).all():
            raise BadInput("the sound is empty, has no rate, or holds samples that are no numbers")
        sound = sample.mono(0).resample(RATE)
        waveform, clips = torch.from_numpy(np.array(sound.samples)), []
        for first, last in compute_clip_bounds(len(sound), self._steps):
            clip = waveform[:, first:last]
            if clip.numel():
                clip -= clip.mean()  # in place, as upstream does it: what the next clip shares with this one is changed
            clip = functional.pad(clip, (0, max(0, SHORTEST - clip.shape[1])))
            bands = torch.from_numpy(self._fbank(modalities.make_sample("sound", clip.numpy(), RATE)))[:, :, :FRAMES]
            clips.append((functional.pad(bands, (0, FRAMES - bands.shape[2])) - SOUND_MEAN) / SOUND_STD)
        return torch.stack(clips)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        """(n, clips, 1, 128, 204) to (n, dim): the mean of the clips' unit vectors, itself not of norm 1."""
        vectors = self.module(batch.flatten(0, 1))
        return functional.normalize(vectors, dim=1).unflatten(0, batch.shape[:2]).mean(dim=1)


class ImageBindDepthEncoder(TorchEncoder):
    """Depth maps, as disparities: baseline * focal length / depth, which the tower was trained on.

    Depth is taken from 0.01 to 50 m and the disparity from 0.01 to 75 pixels, divided by 75. The map is scaled so that
    its short side is 224, bicubic with antialiasing, as upstream scales every picture (its own loader of depth is not
    published): values may overshoot at edges, as they did in training. Then the centre is cut out. Pixels of unknown
    depth get the median disparity of the others, which makes neither a wall nor a hole of them.
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
        """Load the tower.

        Args:
            weights: a file, a folder, or a repository of the hub.
            revision: of the repository; by default the one that this plugin was checked with.
            fx: focal length in pixels, for maps that do not know theirs.
            baseline: in metres, for maps that do not know theirs: 0.075 for a Kinect, 0.095 for RealSense and Xtion.
            architecture: the sizes that the weights must have.

        Raises:
            BadOption: `fx` or `baseline` is not above 0.
            BadInput, WeightsMismatch: see `load_module`.
        """
        self.fx, self.baseline = fx, baseline
        for name, value in (("fx", fx), ("baseline", baseline)):
            if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise BadOption(f"{name} must be a number above 0, got {value!r}")
        module, space = load_module(architecture, weights, revision)
        super().__init__(
            module,
            modality="depth",
            space=space,
            preprocessing={
                "fx": fx,
                "baseline": baseline,
                "metres": [NEAREST_M, FARTHEST_M],
                "disparity": [LOWEST_DISPARITY, HIGHEST_DISPARITY],
                "unknown": "median",
                "side": SIDE,
                "interpolation": "bicubic",
                "mean": DEPTH_MEAN,
                "std": DEPTH_STD,
            },
            logit_scale=read_logit_scale(module),
        )

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """A `DepthMap` to (1, 224, 224) float32.

        Raises:
            BadInput: no depth is known, or neither the map nor the tower knows focal length and baseline.
        """
        disparity = sample.disparity(
            fx=self.fx if sample.fx is None else sample.fx,
            baseline=self.baseline if sample.baseline is None else sample.baseline,
            nearest=NEAREST_M,
            farthest=FARTHEST_M,
        )
        known = sample.metres > 0
        if not known.any():
            raise BadInput("the depth map is empty: no pixel's depth is known (all are 0 or NaN)")
        filled = np.where(known, disparity, np.median(disparity[known]))
        scaled = torch.from_numpy(filled).clamp(LOWEST_DISPARITY, HIGHEST_DISPARITY) / HIGHEST_DISPARITY
        size = scale_short_side(*scaled.shape)
        resized = functional.interpolate(scaled[None, None], size, mode="bicubic", antialias=True, align_corners=False)
        top, left = find_crop_offset(*size)
        return (resized[0, :, top : top + SIDE, left : left + SIDE] - DEPTH_MEAN) / DEPTH_STD


class ImageBindImageEncoder(TorchEncoder):
    """Pictures: the short side scaled to 224 by Pillow, bicubic, and the centre cut out."""

    def __init__(
        self, weights: str = REPOSITORY, *, revision: str | None = None, architecture: Architecture = IMAGE
    ) -> None:
        """Load the tower.

        Args:
            weights: a file, a folder, or a repository of the hub.
            revision: of the repository; by default the one that this plugin was checked with.
            architecture: the sizes that the weights must have.

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
        self._mean, self._std = (torch.tensor(each)[:, None, None] for each in (IMAGE_MEAN, IMAGE_STD))

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 to (3, 224, 224) float32."""
        height, width = scale_short_side(*sample.shape[:2])
        top, left = find_crop_offset(height, width)
        image = PIL.Image.fromarray(sample).resize((width, height), PIL.Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + SIDE, top + SIDE))
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - self._mean) / self._std


def compute_clip_bounds(n_samples: int, steps: int) -> list[tuple[int, int]]:
    """First sample of each clip, and the one behind its last, of a sound of so many samples at 16 kHz.

    In floats and fractions as upstream's, since exact sums let some clips start a sample later.
    """
    remainder = Fraction(max(n_samples / RATE - CLIP_S, 0.0))
    starts = [remainder * clip / steps for clip in range(CLIPS)]
    return [(int(start * RATE), int((start + CLIP_S) * RATE)) for start in starts]


def scale_short_side(height: int, width: int) -> tuple[int, int]:
    """Height and width once the short side is 224."""
    return (int(SIDE * height / width), SIDE) if width <= height else (SIDE, int(SIDE * width / height))


def find_crop_offset(height: int, width: int) -> tuple[int, int]:
    """Where a square of side 224 in the middle begins: from the top and from the left."""
    return round((height - SIDE) / 2), round((width - SIDE) / 2)


def read_logit_scale(module: torch.nn.Module) -> float:
    """The factor of similarities that the tower was trained with: 20 for sounds, 5 for depth."""
    return float(module.get_buffer("log_logit_scale").exp())
