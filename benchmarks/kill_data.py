"""Data of `kills.py`: images, a recording, a video, a suite, a recipe, and outputs of earlier runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image

SIDE = 32
N_IMAGES = 24
N_FRAMES = 60
SUITE = """
name = "kills"
bindings = ["mini"]

[[evaluations]]
title = "Digits, zero-shot"
task = "zero-shot"
dataset = "digits-8x8"
modality = "image"
generated = true
options = { templates = "the digit {}" }

[[evaluations]]
title = "Digits, 1 shot"
task = "few-shot"
dataset = "digits-8x8"
modality = "image"
generated = true
seeds = [0, 1]
options = { shots = 1, method = "linear-probe" }
"""
RECIPE = """
name = "kills"
binding = "open_clip:local-dir:{model}"
modality = "event"
teacher = "image"
epochs = 2
batch_size = 6
checkpoint_steps = 1
losses = [{{ use = "contrastive", temperature = 0.2 }}]

[[data]]
path = "classes"
classes = ["0", "1", "2"]

[probe]
path = "classes"
classes = ["3", "4"]
"""
MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "pool_type": "avg"},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_data(folder: Path, model: bool) -> None:
    """Write images, a recording, a video, a suite, and with `model` a recipe and a CLIP of one layer for it."""
    random = np.random.default_rng(0)
    for number in range(N_IMAGES):
        image = PIL.Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8))
        for path in (folder / "images", folder / "classes" / f"{number % 5}"):
            path.mkdir(parents=True, exist_ok=True)
            image.save(path / f"{number:02}.png")
    times = np.sort(random.integers(0, 2_000_000, 100_000))
    x, y, p = (random.integers(0, size, len(times)) for size in (640, 480, 2))
    np.savez(folder / "events.npz", x=x, y=y, t=times, p=p)
    with av.open(folder / "clip.mp4", "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(random.integers(0, 256, (120, 160, 3)).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (folder / "suite.toml").write_text(SUITE)
    if model:
        write_model(folder / "model")
        (folder / "recipe.toml").write_text(RECIPE.format(model=folder / "model"))
    write_old_outputs(folder)


def write_old_outputs(folder: Path) -> None:
    """Write the outputs that commands find: those of an earlier run on other data."""
    import anybind
    from anybind_retrieval import build_index

    old = folder / "old"
    for name in ("embed", "store", "convert", "simulate", "index", "vad", "search"):
        (old / name).mkdir(parents=True)
        for file in ("out.safetensors", "out.h5", "page.html") if name != "index" else ():
            (old / name / file).write_bytes(b"old")
    (folder / "other").mkdir()
    PIL.Image.new("RGB", (SIDE, SIDE), "red").save(folder / "other" / "red.png")
    build_index(old / "index" / "out.safetensors", folder / "other", binding=anybind.load("mini"))


def write_model(folder: Path) -> None:
    """Write a CLIP of one layer with random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    torch.manual_seed(0)
    state = open_clip.CLIP(**MODEL).state_dict()  # pyright: ignore[reportArgumentType]
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.1] * 3, "std": [0.2] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": preprocess}))
