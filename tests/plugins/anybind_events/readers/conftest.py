from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder shared by the tests of a module, and by all examples of one test."""
    return tmp_path_factory.mktemp("files")
