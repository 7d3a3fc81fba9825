"""Small training data: 24 images of shapes, a CLIP of one layer, and a recipe for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

from anybind_train.engine import TrainingRun
from anybind_train.metrics_log import read_log
from anybind_train.recipe import Recipe

SIDE = 40
SEEN = {"disc": 6, "bar": 6, "ring": 6}
UNSEEN = {"beam": 3, "cross": 3}
MODEL = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
        "pool_type": "avg",
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
MEAN, STD = 0.1, 0.2
RECIPE = """
name = "tiny"
binding = "open_clip:local-dir:{model}"
modality = "event"
teacher = "image"
epochs = 2
batch_size = 6
checkpoint_steps = 2
losses = [{{ use = "contrastive", temperature = 0.2 }}, {{ use = "zero-shot", weight = 0.1 }}]

[student.options]
options = {{ clamp = 2 }}

[optimiser]
lr = 1e-2

[[data]]
path = "images"
classes = ["disc", "bar", "ring"]

[probe]
path = "images"
classes = ["beam", "cross"]
"""


class World(NamedTuple):
    """The generated files; `data` is the folder of `--data`."""

    data: Path
    recipe: Path
    without_probe: Path
    binding: str

    def parse_recipe(self, *overrides: str, probe: bool = True) -> Recipe:
        return Recipe.from_toml(self.recipe if probe else self.without_probe, overrides)


class FinishedRun(NamedTuple):
    """A finished run."""

    run: TrainingRun
    result: dict[str, Any]
    output: Path

    def read_log(self, kind: str = "step") -> list[dict[str, Any]]:
        return [line for line in read_log(self.output) if line["kind"] == kind]

    def read_losses(self) -> list[float]:
        return [line["loss"] for line in self.read_log()]

    def load_weights(self, name: str = "last") -> dict[str, torch.Tensor]:
        return load_file(self.output / f"{name}.safetensors")


Train = Callable[..., FinishedRun]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Generate images, model and recipe; tests do not change them."""
    root = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(0)
    images = []
    for shape, count in (SEEN | UNSEEN).items():
        (root / "data" / "images" / shape).mkdir(parents=True)
        for number in range(count):
            images.append(_draw_shape(shape, random))
            PIL.Image.fromarray(images[-1]).save(root / "data" / "images" / shape / f"{number}.png")
    _write_model(root / "model", np.stack(images))
    text = RECIPE.format(model=root / "model")
    (root / "recipe.toml").write_text(text)
    (root / "without-probe.toml").write_text(text.partition("[probe]")[0])
    binding = f"open_clip:local-dir:{root / 'model'}"
    return World(root / "data", root / "recipe.toml", root / "without-probe.toml", binding)


@pytest.fixture
def own_data(world: World, tmp_path: Path) -> Path:
    """Copy the data, for tests that change it."""
    return Path(shutil.copytree(world.data, tmp_path / "data"))


def _draw_shape(shape: str, random: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - random.integers(12, 28, (2, 1, 1))
    radius = random.integers(6, 11)
    distance = np.hypot(x, y)
    inside = {
        "disc": distance < radius,
        "bar": abs(x) < radius / 2,
        "beam": abs(y) < radius / 2,
        "ring": abs(distance - radius) < 3,
        "cross": (abs(x) < 3) | (abs(y) < 3),
    }[shape]
    return np.where(inside[..., None], random.integers(120, 255, 3), random.integers(10, 60)).astype(np.uint8)


def _write_model(folder: Path, images: np.ndarray) -> None:
    """Write a model of random weights whose embeddings of these images are centred, so that they differ."""
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CLIP(**MODEL)  # pyright: ignore[reportArgumentType]
    visual: Any = model.visual
    inputs = torch.nn.functional.interpolate(torch.from_numpy(images).permute(0, 3, 1, 2) / 255, size=32)
    with torch.no_grad():
        mean = visual((inputs - MEAN) / STD).mean(0)
        visual.ln_post.bias.sub_(mean @ torch.linalg.pinv(visual.proj))
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": MODEL, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the plot and TensorBoard's file, which take longer than a small run."""
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)


@pytest.fixture
def train(world: World, tmp_path: Path, no_plots: None) -> Train:
    """Train by the small recipe with overrides, in this process."""

    def execute(
        *overrides: str, output: Path = tmp_path / "run", data: Path = world.data, probe: bool = True, **options: Any
    ) -> FinishedRun:
        run = TrainingRun(world.parse_recipe(*overrides, probe=probe), data, output, **options)
        return FinishedRun(run, run.execute(), output)

    return execute


@pytest.fixture
def command(cli: Callable[..., Any], world: World, tmp_path: Path) -> Callable[..., Any]:
    """Run `anybind train` of the small recipe in this process; `--set` is added before arguments `KEY=VALUE`."""

    def run(*arguments: object, data: Path = world.data, output: Path = tmp_path / "run") -> Any:
        options = [part for each in map(str, arguments) for part in (("--set", each) if "=" in each else (each,))]
        return cli("train", world.recipe, "--data", data, "--output", output, *options)

    return run
