"""A registry with tiny encoders, samples, and an exported folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from anybind import Binding
from anybind.registry import Registry, use_registry
from anybind_export import export
from helpers.tiny_encoders import SPECS


@pytest.fixture(autouse=True, scope="module")
def tiny_registry() -> Iterator[Registry]:
    """Add the tiny encoders to the installed plugins."""
    from anybind.hooks import Plugin, Registrar, hookimpl

    class Module:
        anybind_contract = 1

        @staticmethod
        @hookimpl
        def register(registry: Registrar) -> None:
            for spec in SPECS:
                registry.add(spec)

    registry = Registry.from_entry_points()
    registry.add(Plugin("tiny", "tiny-dist", "1.0"), lambda: Module)
    former = use_registry(registry)
    yield registry
    use_registry(former)


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(70)]


@pytest.fixture
def image_folder(images: list[np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images):
        PIL.Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def make_binding(**options: object) -> Binding:
    return Binding(
        "tiny", {"text": Binding.configure("tiny-text"), "image": Binding.configure("tiny-image", **options)}
    )


@pytest.fixture(scope="module")
def shared_export(tiny_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the tiny binding; tests do not modify the folder."""
    return export(make_binding(), tmp_path_factory.mktemp("shared") / "exported").folder


@pytest.fixture
def exported(shared_export: Path, tmp_path: Path) -> Path:
    """Copy the exported folder."""
    return Path(shutil.copytree(shared_export, tmp_path / "exported"))


@pytest.fixture
def export_tiny(tmp_path: Path) -> Callable[..., object]:
    """Export the tiny image encoder to `tmp_path / "new"`."""

    def run(output: str = "tanh", **options: object) -> object:
        return export(make_binding(output=output), tmp_path / "new", **{"modalities": ["image"], **options})  # pyright: ignore[reportArgumentType]

    return run
