"""A small CLIP with random weights on disk, its open_clip reference, and processes without network access."""

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

from anybind_openclip.encoders import OpenClipImageEncoder, OpenClipTextEncoder, load_image_encoder, load_text_encoder

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# Unlike open_clip's defaults: a default used by mistake changes the vectors.
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


class OpenClipReference(NamedTuple):
    """The model of the folder, loaded by open_clip."""

    model: Any
    transform: Any
    tokenizer: Any

    def __repr__(self) -> str:
        return "Reference()"  # hypothesis prints it with a failing example

    def embed_images(self, images: list[np.ndarray]) -> np.ndarray:
        batch = torch.stack([self.transform(PIL.Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            return self.model.encode_image(batch, normalize=True).numpy()

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return self.model.encode_text(self.tokenizer(texts), normalize=True).numpy()


@pytest.fixture
def tiny_config() -> dict[str, Any]:
    """Return a copy of the small model's configuration."""
    return copy.deepcopy(TINY)


@pytest.fixture
def preprocess_config() -> dict[str, Any]:
    return copy.deepcopy(PREPROCESS)


@pytest.fixture(scope="session")
def make_folder() -> MakeFolder:
    """Return a function that writes a model folder in open_clip's layout."""

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
            model.logit_scale.fill_(2.5)  # not the initial value of a new CLIP
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
        settings: dict[str, Any] = {"model_cfg": config}
        if preprocess is not None:
            settings["preprocess_cfg"] = preprocess
        (folder / CONFIG).write_text(json.dumps(settings), encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, make_folder: MakeFolder) -> Path:
    """Write the small model; tests do not modify it."""
    return make_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder_copy(model_folder: Path, tmp_path: Path) -> Path:
    """Copy the small model; a test may modify it."""
    return Path(shutil.copytree(model_folder, tmp_path / "own" / "tiny"))


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> OpenClipReference:
    """Load the folder by open_clip."""
    name = f"local-dir:{model_folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    return OpenClipReference(model.eval(), transform, open_clip.get_tokenizer(name))


@pytest.fixture(scope="session")
def image_encoder(model_folder: Path) -> OpenClipImageEncoder:
    """Load the image encoder; tests do not modify its weights."""
    return load_image_encoder(f"local-dir:{model_folder}")


@pytest.fixture(scope="session")
def text_encoder(model_folder: Path) -> OpenClipTextEncoder:
    """Load the text encoder; tests do not modify its weights."""
    return load_text_encoder(f"local-dir:{model_folder}")


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Return 32 random images of odd sizes, smaller and larger than the input size, landscape and portrait."""
    random = np.random.default_rng(0)
    sizes = random.integers(5, 90, (32, 2)) * 2 + 1
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return 32 texts within the context: long and short, capitals, entities, other scripts, signs."""
    return [
        "a", "a duck", "A Photo Of A Duck", "  spaces   all\tover\n", "it's 1 o'clock", "fish &amp; chips", "Zürich",
        "naïve café", "日本", "Москва", "∑x²", "🦆", "x_y-z", "snake_case", "1234567", "3.14159", "(brackets)",
        "wow!!!", "a photo of a rubber duck on a lake", "an event camera sees edges", "NO", "no", "yin yang", "C++",
        "a/b/c", "the the the the the", "“quoted”", "e-mail me", "half-time", "50 % off", "end.", "q",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Return a function that runs Python in a new process without network access and with its own hub cache."""

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
