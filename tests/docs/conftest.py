"""Make the helpers of these tests importable, and the working folder of a page's code blocks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anybind.registry import create_part, use_registry

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that pages use."""
    from doc_files import make_files

    folder = tmp_path_factory.mktemp("examples")
    make_files(folder)
    return folder


@pytest.fixture(scope="session")
def loaded_parts() -> dict[Any, Any]:
    """Return the cache of encoders and adapters by their arguments: each is loaded once for all pages."""
    return {}


@pytest.fixture
def page_folder(
    example_files: Path, loaded_parts: dict[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Change to a copy of the example files; undo installations and imports afterwards."""
    import matplotlib

    folder = tmp_path / "page"
    shutil.copytree(example_files, folder)
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "ANYBIND_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("anybind.binder.create_part", _create_once(create_part, loaded_parts))
    paths, modules, before = list(sys.path), set(sys.modules), Path.cwd()
    os.chdir(folder)
    former = use_registry(None)
    yield folder
    use_registry(former)
    os.chdir(before)
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


def _create_once(create: Any, loaded: dict[Any, Any]) -> Any:
    """Return `create` with a cache of the encoders of `mini`, which take seconds to load and which no page changes."""

    def create_once(kind: Any, name: str, /, *args: Any, **options: Any) -> Any:
        if not name.startswith("mini-"):
            return create(kind, name, *args, **options)
        key = (kind, name, repr(args), repr(options))
        if key not in loaded:
            loaded[key] = create(kind, name, *args, **options)
        return loaded[key]

    return create_once
