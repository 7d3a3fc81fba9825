"""The notebooks of the tutorials run offline, and print what they store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
LONGEST_SECONDS = 120  # of a cell; the whole takes about ten seconds on two cores


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_without_errors_and_prints_its_stored_text(path: Path, monkeypatch, tmp_path: Path) -> None:
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "ANYBIND_STORE": str(tmp_path / "store"),
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    stored = [join_text(cell) for cell in notebook.cells]
    client = nbclient.NotebookClient(notebook, timeout=LONGEST_SECONDS, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(cwd=str(tmp_path))  # an exception in a cell, such as a failed assertion, is an error here
    assert [join_text(cell) for cell in notebook.cells] == stored


def join_text(cell: Any) -> str:
    """Return what a cell prints; without warnings of other packages and images. It may arrive in several outputs."""
    outputs = cell.get("outputs", ())
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")
