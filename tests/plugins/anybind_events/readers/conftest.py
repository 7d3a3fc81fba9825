from __future__ import annotations

import os
from pathlib import Path

import pytest


class FolderTrap:
    """An object whose unpickling creates a folder."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.sprung),)


@pytest.fixture
def trap(tmp_path: Path) -> FolderTrap:
    return FolderTrap(tmp_path / "sprung")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder shared by the tests of a module, and by all examples of one test."""
    return tmp_path_factory.mktemp("files")
