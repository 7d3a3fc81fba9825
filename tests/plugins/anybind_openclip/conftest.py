"""A small CLIP with random weights on disk, open_clip's own reading of it, and processes that see no network."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from anybind_openclip.towers import ImageTower, TextTower, image_tower, text_tower

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# Unlike open_clip's defaults, so that a default that slips in changes the vectors.
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
CLOSED_PORT = "http://127.0.0.1:9"

MakeFolder = Callable[..., Path]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


class Reference(NamedTuple):
    """The model of the folder as open_clip reads it."""

    model: Any
    transform: Any
    tokenizer: Any

    def __repr__(self) -> str:
        return "Reference()"  # hypothesis prints it beside a failing example

    def images(self, pictures: list[np.ndarray]) -> np.ndarray:
        batch = torch.stack([self.transform(PIL.Image.fromarray(picture)) for picture in pictures])
        with torch.inference_mode():
            return self.model.encode_image(batch, normalize=True).numpy()

    def texts(self, texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return self.model.encode_text(self.tokenizer(texts), normalize=True).numpy()


@pytest.fixture
def tiny_config() -> dict[str, Any]:
    """The small model's configuration, to change at will."""
    return copy.deepcopy(TINY)


@pytest.fixture
def preprocess_config() -> dict[str, Any]:
    return copy.deepcopy(PREPROCESS)


@pytest.fixture(scope="session")
def make_folder() -> MakeFolder:
    """Write a model folder as open_clip's users have it."""

    def make(
        folder: Path,
        *,
        seed: int = 0,
        config: Mapping[str, Any] = TINY,
        preprocess: Mapping[str, Any] | None = PREPROCESS,
    ) -> Path:
        folder.mkdir(parents=True)
        torch.manual_seed(seed)
        model = open_clip.CLIP(**copy.deepcopy(dict(config)))
        with torch.no_grad():
            model.logit_scale.fill_(2.5)  # not what every new CLIP starts with
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
        described: dict[str, Any] = {"model_cfg": config}
        if preprocess is not None:
            described["preprocess_cfg"] = preprocess
        (folder / CONFIG).write_text(json.dumps(described), encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, make_folder: MakeFolder) -> Path:
    """The small model; tests read it and leave it as it is."""
    return make_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def own_folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "own" / "tiny"))


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> Reference:
    """What open_clip itself makes of the folder."""
    name = f"local-dir:{model_folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    return Reference(model.eval(), transform, open_clip.get_tokenizer(name))


@pytest.fixture(scope="session")
def image(model_folder: Path) -> ImageTower:
    """The image tower; tests leave its weights as they are."""
    return image_tower(f"local-dir:{model_folder}")


@pytest.fixture(scope="session")
def text(model_folder: Path) -> TextTower:
    """The text tower; tests leave its weights as they are."""
    return text_tower(f"local-dir:{model_folder}")


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """32 random pictures of odd sizes, smaller and larger than the tower's input, wide and high."""
    random = np.random.default_rng(0)
    sizes = random.integers(5, 90, (32, 2)) * 2 + 1
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """32 texts that fit the context: long and short, capitals, entities, other scripts, signs."""
    return [
        "a", "a duck", "A Photo Of A Duck", "  spaces   all\tover\n", "it's 1 o'clock", "fish &amp; chips", "Zürich",
        "naïve café", "日本", "Москва", "∑x²", "🦆", "x_y-z", "snake_case", "1234567", "3.14159", "(brackets)",
        "wow!!!", "a photo of a rubber duck on a lake", "an event camera sees edges", "NO", "no", "yin yang", "C++",
        "a/b/c", "the the the the the", "“quoted”", "e-mail me", "half-time", "50 % off", "end.", "q",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Run Python in a process of its own, in which no hub can be reached and nothing of ours is cached."""

    def run(*arguments: str, hub_cache: Path, timeout: float = 300, **environment: str) -> Any:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
        settings = {"HF_HUB_CACHE": str(hub_cache), "HF_ENDPOINT": CLOSED_PORT, "NO_PROXY": "*", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**inherited, **settings, **environment},
            cwd=hub_cache,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
