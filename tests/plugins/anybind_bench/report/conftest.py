"""Results folders as `anybind bench run` writes them, with numbers made up: fixtures that are functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from anybind_bench.suite import Evaluation, Suite

VERSIONS = {"python": "3.11.9", "anybind": "0.1.0", "numpy": "2.2.0"}


def evaluation(title: str, **fields: Any) -> Evaluation:
    """An evaluation of a dataset of the same name."""
    return Evaluation(**{"task": "zero-shot", "dataset": "folder", "modality": "event", "title": title, **fields})


def cell(
    number: int,
    binding: str,
    seed: int = 0,
    metrics: Mapping[str, Any] | None = None,
    *,
    state: str = "done",
    error: str | None = None,
    main_metric: str | None = "top1",
    identity: str | None = "a1b2c3d4e5f6",
    **result: Any,
) -> dict[str, Any]:
    """One cell; `metrics` are of its result, which has the other fields of `Result` too."""
    held = None
    if state == "done":
        about = {"task": "zero-shot", "dataset": "d", "split_hash": "0" * 12, "binding": binding, "modality": "event"}
        made = {"encoders": {"event": f"{binding}-event", "text": f"{binding}-text"}, "seed": seed, "n": 1000}
        said = {"gallery_size": 101, "metrics": metrics, "prompts": ["a photo of a {}"]}
        held = {**about, **made, **said, "versions": VERSIONS, **result}
    return {
        "evaluation": number,
        "binding": binding,
        "seed": seed,
        "identity": identity,
        "state": state,
        "error": error,
        "main_metric": main_metric,
        "result": held,
    }


def write_results(
    folder: Path,
    evaluations: Sequence[Evaluation],
    cells: Sequence[Mapping[str, Any]],
    *,
    name: str = "table",
    **suite: Any,
) -> Path:
    """Write `results.json` of a suite into a new folder."""
    folder.mkdir(parents=True)
    about = asdict(Suite(name, tuple(evaluations), **suite))
    del about["evaluations"]
    fields = {
        "format": 2,
        "suite": about,
        "evaluations": [asdict(each) for each in evaluations],
        "bindings": list(dict.fromkeys(each["binding"] for each in cells)),
        "cells": list(cells),
    }
    (folder / "results.json").write_text(json.dumps(fields))
    return folder


@pytest.fixture(name="evaluation")
def evaluation_fixture() -> Callable[..., Evaluation]:
    """See `evaluation`."""
    return evaluation


@pytest.fixture(name="cell")
def cell_fixture() -> Callable[..., dict[str, Any]]:
    """See `cell`."""
    return cell


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """`write_results` into a folder by its name."""
    return lambda folder, evaluations, cells, **suite: write_results(tmp_path / folder, evaluations, cells, **suite)
