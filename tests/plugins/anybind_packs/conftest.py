"""Packs of `mini`'s event encoder, made once; and a registry with a base that can change."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from anybind.registry import Registry, use_registry
from anybind.spec import BindingSpec
from anybind_packs import pack
from helpers.tiny_encoders import SPECS


@pytest.fixture(scope="session")
def packed_event(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the event encoder of `mini`; tests do not change it."""
    folder = tmp_path_factory.mktemp("packs") / "event"
    pack("mini", folder, modality="event", licence="Apache-2.0", metrics={"top1": 0.5})
    return folder


@pytest.fixture
def own_pack(packed_event: Path, tmp_path: Path) -> Path:
    """Copy the pack, for tests that change it."""
    return Path(shutil.copytree(packed_event, tmp_path / "own"))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)


@pytest.fixture
def tiny_registry(add_plugin: Callable[..., None]) -> Iterator[Registry]:
    """Add tiny encoders, and the binding `tiny` of `helpers.tiny_base`, to the installed plugins."""
    registry = Registry.from_entry_points()
    tiny = BindingSpec(name="tiny", summary="tiny", target="helpers.tiny_base:make_binding", forms=("tiny",))
    add_plugin(registry, *SPECS, tiny, name="tiny", distribution="tiny-dist")
    former = use_registry(registry)
    yield registry
    use_registry(former)
