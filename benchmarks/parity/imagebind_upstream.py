"""ImageBind: upstream's side of the comparison, run in an environment with `imagebind-unofficial`.

Upstream's published model and loaders of sound, images and texts are used. It publishes no loader of depth maps:
torchvision's transforms follow its description.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import types
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torchaudio
import torchvision.transforms._functional_tensor
from safetensors.torch import save_file
from torchvision import transforms
from torchvision.transforms.functional import InterpolationMode

RATE = 16_000
BASELINE = 0.075
PACKAGES = ("imagebind-unofficial", "pytorchvideo", "timm", "torch", "torchaudio", "torchvision", "numpy", "pillow")


def main(folder: Path) -> None:
    """Write random weights, and upstream's tensors of the inputs."""
    torch.set_num_threads(1)
    data, models = import_upstream()
    model = make_random_model(models)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    tensors: dict[str, torch.Tensor] = {}

    def add(name: str, key: str, inputs: torch.Tensor) -> None:
        with torch.inference_mode():
            vectors = torch.cat([model({key: each[None]})[key] for each in inputs])
        tensors[f"{name}.preprocessed"] = inputs.contiguous()
        # Upstream's mean over clips follows its scaling and is not normalised.
        tensors[f"{name}.embedding"] = torch.nn.functional.normalize(vectors, dim=-1)

    sounds = load(folder / "sounds.npz")
    add("sound-0.1.5", "audio", preprocess_sounds(data, sounds))
    data.ConstantClipsPerVideoSampler = PinnedSampler
    add("sound", "audio", preprocess_sounds(data, sounds))
    rates = np.load(folder / "rates.npy", allow_pickle=False)
    add("sound-resampled", "audio", preprocess_sounds(data, load(folder / "originals.npz"), rates))
    focal = np.load(folder / "focal.npy", allow_pickle=False)
    maps = zip(load(folder / "depth.npz"), focal, strict=True)
    add("depth", "depth", torch.stack([preprocess_depth(metres, fx) for metres, fx in maps]))
    add("image", "vision", preprocess_images(data, load(folder / "images.npz"), folder))
    texts = (folder / "texts.txt").read_text(encoding="utf-8").split("\n")
    add("text", "text", data.load_and_transform_text(texts, "cpu"))
    save_file(tensors, folder / "upstream.safetensors")
    (folder / "versions.json").write_text(json.dumps({package: version(package) for package in PACKAGES}))


def import_upstream() -> tuple[Any, Any]:
    """Import the package's data and model modules; its `__init__` does not import with current dependencies."""
    spec = importlib.util.find_spec("imagebind")
    assert spec is not None
    assert spec.submodule_search_locations
    package = types.ModuleType("imagebind")
    package.__path__ = list(spec.submodule_search_locations)
    os.chdir(package.__path__[0])  # its tokenizer reads its vocabulary relative to the working directory
    sys.modules["imagebind"] = package
    # pytorchvideo imports this module by its former name.
    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms._functional_tensor
    return importlib.import_module("imagebind.data"), importlib.import_module("imagebind.models.imagebind_model")


def make_random_model(models: Any) -> Any:
    """Return imagebind_huge with every parameter perturbed: an omitted parameter changes the result."""
    torch.manual_seed(0)
    model = models.imagebind_huge(pretrained=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough to change the output of every block, small enough not to overflow.
            parameter.add_(torch.randn_like(parameter), alpha=0.02 if parameter.ndim > 1 else 0.1)
    return model


class PinnedSampler:
    """The clip sampler of the pytorchvideo version that upstream pins: clips are evenly spaced to the end."""

    def __init__(self, clip_duration: float, clips_per_video: int) -> None:
        self.seconds, self.count, self.number = Fraction(clip_duration), clips_per_video, 0

    def __call__(self, last: Any, duration: float, annotation: Any = None) -> tuple[Fraction, Fraction, int, int, bool]:
        """Return the next clip: start, end, its index, the augmentation's index, and whether it is the last."""
        start = Fraction(max(duration - self.seconds, 0)) * self.number / (self.count - 1)
        self.number = (self.number + 1) % self.count
        return start, start + self.seconds, self.number, 0, self.number == 0


def preprocess_sounds(data: Any, sounds: list[np.ndarray], rates: Any = None) -> torch.Tensor:
    """Preprocess arrays by upstream's loader, (n, clips, 1, mels, frames)."""

    def load(number: str) -> tuple[torch.Tensor, int]:
        rate = RATE if rates is None else int(rates[int(number)])
        return torch.from_numpy(sounds[int(number)].copy()), rate

    torchaudio.load = load
    return data.load_and_transform_audio_data([str(number) for number in range(len(sounds))], "cpu")


def preprocess_depth(metres: np.ndarray, focal: float) -> torch.Tensor:
    """Preprocess a depth map by torchvision's transforms, (1, 224, 224)."""
    disparity = BASELINE * focal / torch.from_numpy(metres).clamp(0.01, 50)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=True),
        transforms.CenterCrop(224),
        transforms.Normalize(mean=[0.0418], std=[0.0295]),
    ]
    return transforms.Compose(steps)(disparity.clamp(0.01, 75)[None] / 75)


def preprocess_images(data: Any, images: list[np.ndarray], folder: Path) -> torch.Tensor:
    """Preprocess images by upstream's loader from lossless files, (n, 3, 224, 224)."""
    paths = [folder / f"image-{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        PIL.Image.fromarray(image).save(path)
    return data.load_and_transform_vision_data([str(path) for path in paths], "cpu")


def load(path: Path) -> list[np.ndarray]:
    """Load numbered arrays."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # one line per recording shorter than a clip
    main(Path(sys.argv[1]).resolve())
