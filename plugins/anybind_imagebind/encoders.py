"""ImageBind's sound, depth and image encoders with their preprocessing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import PIL.Image
import torch
from torch.nn import functional

from anybind.plugin import (
    BadInput,
    BadOption,
    Representation,
    TorchEncoder,
    create_part,
    errors,
    modalities,
    readers,
    samples,
)
from anybind_imagebind.modules import DEPTH, IMAGE, SOUND, Architecture
from anybind_imagebind.weights import REPOSITORY, load_module

SIDE = 224
"""Side of the input square, in pixels."""
RATE, CLIP_S, CLIPS, MIN_SAMPLES = 16_000, 2, 3, 400
"""Sample rate in Hz, clip length in s, clips per recording, shortest input of the filter bank in samples (25 ms)."""
MELS, FRAMES = 128, 204
SOUND_MEAN, SOUND_STD = -4.268, 9.138
CLIP_STARTS = {"pytorchvideo": CLIPS - 1, "pytorchvideo-0.1.5": CLIPS}
"""Steps between clip starts: clip i starts at i * (duration - 2 s) / steps."""
MIN_DEPTH_M, MAX_DEPTH_M = 0.01, 50.0
MIN_DISPARITY, MAX_DISPARITY = 0.01, 75.0
DEPTH_MEAN, DEPTH_STD = 0.0418, 0.0295
IMAGE_MEAN, IMAGE_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


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
        if clips not in CLIP_STARTS:
            raise BadOption(
                f"clips: expected {' or '.join(CLIP_STARTS)}, got {clips!r}{errors.suggest_names(clips, CLIP_STARTS)}"
            )
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
        self.reader_options = {"in_parts": True}

    def preprocess(self, sample: samples.AudioSample) -> torch.Tensor:
        """Map a waveform to its clips, (3, 1, 128, 204) float32.

        Raises:
            BadInput: no samples, no sample rate, or samples that are not finite.
        """
        if not len(sample) or sample.rate <= 0:
            raise BadInput("expected finite samples and a sample rate, got an empty or invalid audio clip")
        resampled, clips = sample.mono(0).resample(RATE), []
        for clip in cut_clips(resampled, compute_clip_bounds(len(resampled), self._steps)):
            if clip.numel():
                clip -= clip.mean()  # in place, as upstream: changes the samples shared with the next clip
            clip = functional.pad(clip, (0, max(0, MIN_SAMPLES - clip.shape[1])))
            bands = torch.from_numpy(self._fbank(modalities.make_sample("sound", clip.numpy(), RATE)))[:, :, :FRAMES]
            clips.append((functional.pad(bands, (0, FRAMES - bands.shape[2])) - SOUND_MEAN) / SOUND_STD)
        return torch.stack(clips)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        """Map (n, clips, 1, 128, 204) to (n, dim): the mean of the clips' unit vectors, not normalised."""
        vectors = self.module(batch.flatten(0, 1))
        return functional.normalize(vectors, dim=1).unflatten(0, batch.shape[:2]).mean(dim=1)


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
        self.fx, self.baseline = fx, baseline
        for name, value in (("fx", fx), ("baseline", baseline)):
            if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise BadOption(f"{name}: expected a number above 0, got {value!r}")
        module, space = load_module(architecture, weights, revision)
        super().__init__(
            module,
            modality="depth",
            space=space,
            preprocessing={
                "fx": fx,
                "baseline": baseline,
                "metres": [MIN_DEPTH_M, MAX_DEPTH_M],
                "disparity": [MIN_DISPARITY, MAX_DISPARITY],
                "unknown": "median",
                "side": SIDE,
                "interpolation": "bicubic",
                "mean": DEPTH_MEAN,
                "std": DEPTH_STD,
            },
            logit_scale=read_logit_scale(module),
        )

    def preprocess(self, sample: samples.DepthSample) -> torch.Tensor:
        """Map a depth map to (1, 224, 224) float32.

        Raises:
            BadInput: no pixel of known depth, or focal length or baseline is set neither by the map nor the encoder.
        """
        disparity = sample.disparity(
            fx=self.fx if sample.fx is None else sample.fx,
            baseline=self.baseline if sample.baseline is None else sample.baseline,
            nearest=MIN_DEPTH_M,
            farthest=MAX_DEPTH_M,
        )
        is_known = sample.metres > 0
        if not is_known.any():
            raise BadInput("the depth map is empty: the depth of all pixels is 0 or NaN")
        filled = np.where(is_known, disparity, np.median(disparity[is_known]))
        scaled = torch.from_numpy(filled).clamp(MIN_DISPARITY, MAX_DISPARITY) / MAX_DISPARITY
        size = scale_short_side(*scaled.shape)
        resized = functional.interpolate(scaled[None, None], size, mode="bicubic", antialias=True, align_corners=False)
        top, left = find_crop_offset(*size)
        return (resized[0, :, top : top + SIDE, left : left + SIDE] - DEPTH_MEAN) / DEPTH_STD


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
        self.reader_options = {"min_side": readers.REDUCING_GAP * SIDE}
        self._mean, self._std = (torch.tensor(each)[:, None, None] for each in (IMAGE_MEAN, IMAGE_STD))

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        """Map (height, width, 3) uint8 to (3, 224, 224) float32."""
        height, width = scale_short_side(*sample.shape[:2])
        top, left = find_crop_offset(height, width)
        image = PIL.Image.fromarray(sample).resize((width, height), PIL.Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + SIDE, top + SIDE))
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - self._mean) / self._std


def cut_clips(sample: samples.AudioSample, bounds: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
    """Cut clips, float32 (1, n); clips that overlap share their samples. Of a long recording, no more is read.

    Raises:
        BadInput: samples that are not finite.
    """
    if all(last <= first for (_, last), (first, _) in itertools.pairwise(bounds)):
        arrays = [sample.between(first / sample.rate, last / sample.rate).samples for first, last in bounds]
        clips = [torch.from_numpy(np.array(each)) for each in arrays]
    else:
        waveform = torch.from_numpy(np.array(sample.samples))
        clips = [waveform[:, first:last] for first, last in bounds]
    if not all(clip.isfinite().all() for clip in clips):
        raise BadInput("expected finite samples and a sample rate, got an empty or invalid audio clip")
    return clips


def compute_clip_bounds(n_samples: int, steps: int) -> list[tuple[int, int]]:
    """Return the first and last (exclusive) sample of each clip in `n_samples` samples at 16 kHz.

    Uses floats and fractions as upstream: with exact sums some clips would start one sample later.
    """
    remainder = Fraction(max(n_samples / RATE - CLIP_S, 0.0))
    starts = [remainder * clip / steps for clip in range(CLIPS)]
    return [(int(start * RATE), int((start + CLIP_S) * RATE)) for start in starts]


def scale_short_side(height: int, width: int) -> tuple[int, int]:
    """Return height and width after resizing the short side to 224."""
    return (int(SIDE * height / width), SIDE) if width <= height else (SIDE, int(SIDE * width / height))


def find_crop_offset(height: int, width: int) -> tuple[int, int]:
    """Return the top and left offset of the central 224 x 224 crop."""
    return round((height - SIDE) / 2), round((width - SIDE) / 2)


def read_logit_scale(module: torch.nn.Module) -> float:
    """Return the logit scale of the weights: 20 for sound, 5 for depth."""
    return float(module.get_buffer("log_logit_scale").exp())
