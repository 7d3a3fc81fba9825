"""Two objects side by side, and a small CLIP with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import pytest
import skimage.data
import torch
from safetensors.torch import save_file

import anybind

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3},
}
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the small CLIP in open_clip's layout; weights are as large as trained ones: attention is not uniform."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CLIP(**json.loads(json.dumps(TINY)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "in_proj_weight" in name:
                weight.mul_(6)
            if "bias" in name:
                weight.normal_(0, 0.1)
        model.positional_embedding.normal_(0, 0.1)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": TINY, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(model_folder: Path) -> anybind.Binder:
    """Load the small CLIP with an event encoder copied from its image encoder; tests do not modify it."""
    return anybind.load(f"open_clip:local-dir:{model_folder}")


@pytest.fixture(scope="session")
def mini() -> anybind.Binder:
    return anybind.load("mini", backend="torch")


@pytest.fixture(scope="session")
def two_objects() -> np.ndarray:
    """Return an image of a cat on the left and a cup of coffee on the right, 160 x 320 pixels."""
    return np.concatenate([_crop_square(skimage.data.chelsea()), _crop_square(skimage.data.coffee())], axis=1)


def _crop_square(pixels: np.ndarray, side: int = 160) -> np.ndarray:
    image = PIL.Image.fromarray(pixels)
    short_side = min(image.size)
    left, top = (image.width - short_side) // 2, (image.height - short_side) // 2
    return np.asarray(image.crop((left, top, left + short_side, top + short_side)).resize((side, side)))


@pytest.fixture(scope="session")
def files(two_objects: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the two objects as an image and as a recording, and invalid files."""
    folder = tmp_path_factory.mktemp("two")
    paths = {name: folder / name for name in ("two.png", "two.npz", "gray.npz", "other.png", "text.png")}
    PIL.Image.fromarray(two_objects).save(paths["two.png"])
    PIL.Image.fromarray(two_objects[:, :160]).save(paths["other.png"])
    anybind.write(anybind.derive("event", two_objects, seed=0), paths["two.npz"])
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, np.uint8)), paths["gray.npz"])
    paths["text.png"].write_text("not an image")
    return paths
