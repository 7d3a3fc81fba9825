"""A world small enough to train in: 24 pictures of shapes, a CLIP of one layer, and a recipe for them."""

from __future__ import annotations

import json
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
path = "pictures"
classes = ["disc", "bar", "ring"]

[probe]
path = "pictures"
classes = ["beam", "cross"]
"""


class World(NamedTuple):
    """The made files: `data` is what `--data` is given."""

    data: Path
    recipe: Path
    without_probe: Path
    binding: str

    def plan(self, *changes: str, probe: bool = True) -> Recipe:
        return Recipe.from_toml(self.recipe if probe else self.without_probe, changes)


class Ran(NamedTuple):
    """A run that came to its end."""

    run: TrainingRun
    result: dict[str, Any]
    output: Path

    def lines(self, kind: str = "step") -> list[dict[str, Any]]:
        return [line for line in self.run_lines() if line["kind"] == kind]

    def run_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.output / "metrics.jsonl").read_text().splitlines()]

    def losses(self) -> list[float]:
        return [line["loss"] for line in self.lines()]

    def weights(self, name: str = "last") -> dict[str, torch.Tensor]:
        return load_file(self.output / f"{name}.safetensors")


Train = Callable[..., Ran]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Pictures, model and recipe; tests leave them as they are."""
    root = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(0)
    pictures = []
    for shape, count in (SEEN | UNSEEN).items():
        (root / "data" / "pictures" / shape).mkdir(parents=True)
        for number in range(count):
            pictures.append(_picture(shape, random))
            PIL.Image.fromarray(pictures[-1]).save(root / "data" / "pictures" / shape / f"{number}.png")
    _write_model(root / "model", np.stack(pictures))
    text = RECIPE.format(model=root / "model")
    (root / "recipe.toml").write_text(text)
    (root / "without-probe.toml").write_text(text.partition("[probe]")[0])
    binding = f"open_clip:local-dir:{root / 'model'}"
    return World(root / "data", root / "recipe.toml", root / "without-probe.toml", binding)


def _picture(shape: str, random: np.random.Generator) -> np.ndarray:
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


def _write_model(folder: Path, pictures: np.ndarray) -> None:
    """Random weights, but such that the vectors of these pictures point everywhere and not all one way."""
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CLIP(**MODEL)  # pyright: ignore[reportArgumentType]
    visual: Any = model.visual
    seen = torch.nn.functional.interpolate(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255, size=32)
    with torch.no_grad():
        middle = visual((seen - MEAN) / STD).mean(0)
        visual.ln_post.bias.sub_(middle @ torch.linalg.pinv(visual.proj))
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    described = {"model_cfg": MODEL, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described))


@pytest.fixture
def train(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Do a run of the tiny recipe, changed as `--set` would, in this process.

    No picture is drawn and no TensorBoard file written, which takes longer than the run; runs by the command do both.
    """
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)

    def run(
        *changes: str, output: Path = tmp_path / "run", data: Path = world.data, probe: bool = True, **options: Any
    ) -> Ran:
        trained = TrainingRun(world.plan(*changes, probe=probe), data, output, **options)
        return Ran(trained, trained.execute(), output)

    return run


@pytest.fixture
def command(cli: Callable[..., Any], world: World, tmp_path: Path) -> Callable[..., Any]:
    """`anybind train` of the tiny recipe in this process, with further arguments: `--set` is put before a change."""

    def run(*arguments: object, data: Path = world.data, output: Path = tmp_path / "run") -> Any:
        given = [word for each in map(str, arguments) for word in (("--set", each) if "=" in each else (each,))]
        return cli("train", world.recipe, "--data", data, "--output", output, *given)

    return run
