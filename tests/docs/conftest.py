"""Puts the helpers of these tests where they can be imported, and makes the folder that a page's blocks run in."""

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
def made_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages speak of."""
    from doc_files import make_files

    folder = tmp_path_factory.mktemp("made")
    make_files(folder)
    return folder


@pytest.fixture(scope="session")
def towers() -> dict[Any, Any]:
    """Encoders and adapters by how they were made: each is loaded once for all pages."""
    return {}


@pytest.fixture
def page_folder(
    made_files: Path, towers: dict[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the made files that is the working directory; what is installed or cached there is forgotten after."""
    import matplotlib

    folder = tmp_path / "page"
    shutil.copytree(made_files, folder)
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "ANYBIND_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("anybind.binder.create", _create_once(create_part, towers))
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


def _create_once(create: Any, made: dict[Any, Any]) -> Any:
    """`create` that keeps the towers of `mini`: they take seconds to load and no page changes them."""

    def create_once(kind: Any, name: str, /, *args: Any, **options: Any) -> Any:
        if not name.startswith("mini-"):
            return create(kind, name, *args, **options)
        key = (kind, name, repr(args), repr(options))
        if key not in made:
            made[key] = create(kind, name, *args, **options)
        return made[key]

    return create_once
