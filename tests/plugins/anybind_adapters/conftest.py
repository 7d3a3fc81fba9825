"""Random paired embeddings of two spaces, and small encoders, bindings and images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from anybind import Embeddings, Space, normalize
from anybind.adapter import Adapter
from anybind.registry import Registry, find_part, use_registry
from anybind.spec import EncoderSpec

MakePairs = Callable[..., tuple[Embeddings, Embeddings]]


@pytest.fixture
def make_pairs() -> MakePairs:
    """Make random embeddings and their image under a random map with noise, not centred on either side."""

    def make(n: int = 60, d: int = 8, e: int = 6, noise: float = 0.1, seed: int = 0) -> tuple[Embeddings, Embeddings]:
        random = np.random.default_rng(seed)
        x = normalize(random.normal(size=(n, d)) + 0.5)
        y = normalize(x @ random.normal(size=(d, e)) + noise * random.normal(size=(n, e)) + 0.3)
        ids = tuple(f"item {number}" for number in range(n))
        return (
            Embeddings(x, Space("space-1", d, "encoder@1"), "image", ids),
            Embeddings(y, Space("space-2", e, "encoder@2"), "image", ids),
        )

    return make


@pytest.fixture
def fitted(make_pairs: MakePairs) -> Callable[..., Adapter]:
    """Fit a registered adapter on the pairs, trained ones for a few epochs."""

    def fit(name: str, seed: int = 0, **options: int) -> Adapter:
        source, target = make_pairs(**options)
        short = {"linear": {"epochs": 3}, "mlp": {"epochs": 3, "hidden": 5}}
        adapter_class = find_part("adapter", name).load()
        return adapter_class.fit(source, target, groups=np.arange(len(source)), seed=seed, **short.get(name, {}))

    return fit


@pytest.fixture
def small_encoders(add_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Register small encoders under the names of CLIP's and ImageBind's, and `small-image` and `small-text`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    registry = Registry.from_entry_points(only="adapters,classification,datasets,events,media,retrieval")
    targets = {
        "open_clip-text": "SmallEncoder", "open_clip-image": "SmallImageEncoder", "small-text": "SmallEncoder",
        "small-image": "SmallImageEncoder", "imagebind-sound": "make_sound_encoder",
        "imagebind-depth": "make_depth_encoder",
    }  # fmt: skip
    specs = [
        EncoderSpec(name=name, summary="s", target=f"encoders:{target}", modality=name.rpartition("-")[2])
        for name, target in targets.items()
    ]
    add_plugin(registry, *specs)
    previous = use_registry(registry)
    yield registry
    use_registry(previous)
    sys.modules.pop("encoders", None)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Write fourteen class folders of three images each: a colour pattern a class, with noise."""
    random = np.random.default_rng(0)
    root = tmp_path / "images"
    for number in range(14):
        folder = root / f"{'abcdefghijklmn'[number] * (number % 3 + 1)}_{'opqrstu'[number // 2]}"
        folder.mkdir(parents=True)
        colours = random.integers(0, 256, (3, 3, 3))
        for index in range(3):
            pixels = np.clip(colours + random.integers(-20, 20, (3, 3, 3)), 0, 255).astype(np.uint8)
            PIL.Image.fromarray(pixels).resize((24, 24), PIL.Image.Resampling.NEAREST).save(folder / f"{index}.png")
    return root
