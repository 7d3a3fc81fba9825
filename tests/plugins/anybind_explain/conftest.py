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
    """The small CLIP as open_clip's users have it; weights as large as trained ones, so that attention is uneven."""
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
    described = {"model_cfg": TINY, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(model_folder: Path) -> anybind.Binder:
    """The small CLIP, and an event tower that is a copy of its image tower; tests leave it as it is."""
    return anybind.load(f"open_clip:local-dir:{model_folder}")


@pytest.fixture(scope="session")
def mini() -> anybind.Binder:
    return anybind.load("mini")


@pytest.fixture(scope="session")
def two_objects() -> np.ndarray:
    """A cat on the left and a cup of coffee on the right, 160 x 320 pixels."""
    return np.concatenate([_square(skimage.data.chelsea()), _square(skimage.data.coffee())], axis=1)


def _square(picture: np.ndarray, side: int = 160) -> np.ndarray:
    image = PIL.Image.fromarray(picture)
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return np.asarray(image.crop((left, top, left + short, top + short)).resize((side, side)))


@pytest.fixture(scope="session")
def files(two_objects: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two objects as a picture and as a recording, and what cannot be explained."""
    folder = tmp_path_factory.mktemp("two")
    made = {name: folder / name for name in ("two.png", "two.npz", "gray.npz", "other.png", "text.png")}
    PIL.Image.fromarray(two_objects).save(made["two.png"])
    PIL.Image.fromarray(two_objects[:, :160]).save(made["other.png"])
    anybind.write(anybind.derive("event", two_objects, seed=0), made["two.npz"])
    anybind.write(anybind.derive("event", np.full((4, 4, 3), 9, np.uint8)), made["gray.npz"])
    made["text.png"].write_text("this is no picture")
    return made
