"""ImageBind: upstream's side of the comparison, run in an environment with `imagebind-unofficial`.

What upstream publishes does the work: its model, and its loaders of sounds, pictures and texts. It publishes no loader
of depth; for that, torchvision's transforms follow its description.
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
    """Make the weights, and upstream's tensors of the inputs."""
    torch.set_num_threads(1)
    data, models = import_upstream()
    model = random_model(models)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    tensors: dict[str, torch.Tensor] = {}

    def add(name: str, key: str, prepared: torch.Tensor) -> None:
        with torch.inference_mode():
            vectors = torch.cat([model({key: each[None]})[key] for each in prepared])
        tensors[f"{name}.preprocessed"] = prepared.contiguous()
        # Upstream's mean over clips comes after its scaling and is of no particular norm.
        tensors[f"{name}.embedding"] = torch.nn.functional.normalize(vectors, dim=-1)

    sounds = load(folder / "sounds.npz")
    add("sound-0.1.5", "audio", prepared_sounds(data, sounds))
    data.ConstantClipsPerVideoSampler = PinnedSampler
    add("sound", "audio", prepared_sounds(data, sounds))
    rates = np.load(folder / "rates.npy", allow_pickle=False)
    add("sound-resampled", "audio", prepared_sounds(data, load(folder / "originals.npz"), rates))
    focal = np.load(folder / "focal.npy", allow_pickle=False)
    maps = zip(load(folder / "depth.npz"), focal, strict=True)
    add("depth", "depth", torch.stack([prepared_depth(metres, fx) for metres, fx in maps]))
    add("image", "vision", prepared_pictures(data, load(folder / "pictures.npz"), folder))
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    add("text", "text", data.load_and_transform_text(words, "cpu"))
    save_file(tensors, folder / "upstream.safetensors")
    (folder / "versions.json").write_text(json.dumps({package: version(package) for package in PACKAGES}))


def import_upstream() -> tuple[Any, Any]:
    """The package's modules of data and models; its own `__init__` imports what current packages no longer have."""
    found = importlib.util.find_spec("imagebind")
    assert found is not None
    assert found.submodule_search_locations
    package = types.ModuleType("imagebind")
    package.__path__ = list(found.submodule_search_locations)
    os.chdir(package.__path__[0])  # its tokenizer looks for its words below the folder it is run in
    sys.modules["imagebind"] = package
    # pytorchvideo asks for this module by the name that it had.
    sys.modules["torchvision.transforms.functional_tensor"] = torchvision.transforms._functional_tensor
    return importlib.import_module("imagebind.data"), importlib.import_module("imagebind.models.imagebind_model")


def random_model(models: Any) -> Any:
    """imagebind_huge, every parameter moved off its initial value, so that none can be left out unnoticed."""
    torch.manual_seed(0)
    model = models.imagebind_huge(pretrained=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Far enough that blocks change what passes through, and near enough that nothing overflows.
            parameter.add_(torch.randn_like(parameter), alpha=0.02 if parameter.ndim > 1 else 0.1)
    return model


class PinnedSampler:
    """Clips of a sound up to its end, as the version of pytorchvideo that upstream pins spaces them."""

    def __init__(self, clip_duration: float, clips_per_video: int) -> None:
        self.seconds, self.count, self.number = Fraction(clip_duration), clips_per_video, 0

    def __call__(self, last: Any, duration: float, annotation: Any = None) -> tuple[Fraction, Fraction, int, int, bool]:
        """The next clip: start, end, its number, the augmentation's, and whether it is the last."""
        start = Fraction(max(duration - self.seconds, 0)) * self.number / (self.count - 1)
        self.number = (self.number + 1) % self.count
        return start, start + self.seconds, self.number, 0, self.number == 0


def prepared_sounds(data: Any, sounds: list[np.ndarray], rates: Any = None) -> torch.Tensor:
    """(n, clips, 1, mels, frames), by upstream's loader, which is given arrays for files."""

    def load(number: str) -> tuple[torch.Tensor, int]:
        rate = RATE if rates is None else int(rates[int(number)])
        return torch.from_numpy(sounds[int(number)].copy()), rate

    torchaudio.load = load
    return data.load_and_transform_audio_data([str(number) for number in range(len(sounds))], "cpu")


def prepared_depth(metres: np.ndarray, focal: float) -> torch.Tensor:
    """(1, 224, 224) by torchvision's transforms."""
    disparity = BASELINE * focal / torch.from_numpy(metres).clamp(0.01, 50)
    steps = [
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=True),
        transforms.CenterCrop(224),
        transforms.Normalize(mean=[0.0418], std=[0.0295]),
    ]
    return transforms.Compose(steps)(disparity.clamp(0.01, 75)[None] / 75)


def prepared_pictures(data: Any, pictures: list[np.ndarray], folder: Path) -> torch.Tensor:
    """(n, 3, 224, 224), by upstream's loader, from files that keep every pixel."""
    paths = [folder / f"picture-{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        PIL.Image.fromarray(picture).save(path)
    return data.load_and_transform_vision_data([str(path) for path in paths], "cpu")


def load(path: Path) -> list[np.ndarray]:
    """Arrays by their number."""
    with np.load(path, allow_pickle=False) as held:
        return [held[name] for name in held.files]


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # a line for every sound that is shorter than a clip
    main(Path(sys.argv[1]).resolve())
