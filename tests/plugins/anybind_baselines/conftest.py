"""A small CLIP with random weights, recordings, and the bindings of EventCLIP and EventBind on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

import anybind
from anybind_events.stream import EventStream

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "resize_mode": "shortest"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the binding of the small CLIP."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    model = open_clip.CLIP(**CLIP)  # pyright: ignore[reportArgumentType]
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": PREPROCESS}))
    return f"open_clip:local-dir:{folder}"


@pytest.fixture
def eventclip(clip: str) -> anybind.Binder:
    return anybind.load(f"eventclip:{clip},count=400,views=3")


@pytest.fixture
def eventbind(clip: str) -> anybind.Binder:
    return anybind.load(f"eventbind:{clip},count=400,views=3,prompts=4")


@pytest.fixture
def streams() -> list[EventStream]:
    """Return recordings of 40 x 30 pixels whose second half differs from the first."""
    return [make_stream(seed) for seed in range(4)]


def make_stream(seed: int, events: int = 1000) -> EventStream:
    random = np.random.default_rng(seed)
    x = np.concatenate([random.integers(0, 20, events // 2), random.integers(20, 40, events // 2)])
    times = np.sort(random.integers(0, 100_000, events))
    return EventStream(x, random.integers(0, 30, events), times, random.random(events) < 0.5, 40, 30)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of vertical stripes into a folder for each class; classes differ in the width of the stripes."""
    folder, random = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "kettle")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            stripes = (np.arange(48) // (2 + 4 * label) % 2 * 150 + random.integers(0, 60)).astype(np.uint8)
            image = PIL.Image.fromarray(np.tile(stripes, (40, 1))).convert("RGB")
            image.save(folder / name / f"{number}.png")
    return folder
