"""Vectors of two made spaces, and a world small enough to be embedded twice in a moment."""

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
    """Vectors and what a random map with some noise makes of them, off the centre on both sides."""

    def make(n: int = 60, d: int = 8, e: int = 6, noise: float = 0.1, seed: int = 0) -> tuple[Embeddings, Embeddings]:
        random = np.random.default_rng(seed)
        x = normalize(random.normal(size=(n, d)) + 0.5)
        y = normalize(x @ random.normal(size=(d, e)) + noise * random.normal(size=(n, e)) + 0.3)
        ids = tuple(f"thing {number}" for number in range(n))
        return (
            Embeddings(x, Space("here", d, "tower@1"), "image", ids),
            Embeddings(y, Space("there", e, "tower@2"), "image", ids),
        )

    return make


@pytest.fixture
def fitted(make_pairs: MakePairs) -> Callable[..., Adapter]:
    """An adapter of a kind on the made pairs; training ones after a few steps."""

    def fit(kind: str, seed: int = 0, **changes: int) -> Adapter:
        source, target = make_pairs(**changes)
        short = {"linear": {"epochs": 3}, "mlp": {"epochs": 3, "hidden": 5}}
        cls = find_part("adapter", kind).load()
        return cls.fit(source, target, groups=np.arange(len(source)), seed=seed, **short.get(kind, {}))

    return fit


@pytest.fixture
def tiny_towers(add_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The bundled plugins that bring no towers, and stand-ins under the names of CLIP's and ImageBind's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    tiny = Registry.from_entry_points(only="adapters,classification,datasets,events,media,retrieval")
    targets = {
        "open_clip-text": "Tiny", "open_clip-image": "TinyImage", "tiny-text": "Tiny", "tiny-image": "TinyImage",
        "imagebind-sound": "tiny_sound", "imagebind-depth": "tiny_depth",
    }  # fmt: skip
    specs = [
        EncoderSpec(name=name, summary="s", target=f"encoders:{target}", modality=name.rpartition("-")[2])
        for name, target in targets.items()
    ]
    add_plugin(tiny, *specs)
    former = use_registry(tiny)
    yield tiny
    use_registry(former)
    sys.modules.pop("encoders", None)


@pytest.fixture
def classes_of_pictures(tmp_path: Path) -> Path:
    """Fourteen folders of three pictures each: a colour a class, with a little noise."""
    random = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for number in range(14):
        folder = root / f"{'abcdefghijklmn'[number] * (number % 3 + 1)}_{'opqrstu'[number // 2]}"
        folder.mkdir(parents=True)
        colours = random.integers(0, 256, (3, 3, 3))
        for each in range(3):
            noisy = np.clip(colours + random.integers(-20, 20, (3, 3, 3)), 0, 255).astype(np.uint8)
            PIL.Image.fromarray(noisy).resize((24, 24), PIL.Image.Resampling.NEAREST).save(folder / f"{each}.png")
    return root
