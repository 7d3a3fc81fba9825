"""Fixtures that write results folders with invented values, in the format of `anybind bench run`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from anybind_bench.suite import Evaluation, Suite

VERSIONS = {"python": "3.11.9", "anybind": "0.1.0", "numpy": "2.2.0"}


def make_evaluation(title: str, **fields: Any) -> Evaluation:
    """Make an evaluation."""
    return Evaluation(**{"task": "zero-shot", "dataset": "folder", "modality": "event", "title": title, **fields})


def make_cell(
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
    """Make a cell; `metrics` and other fields are of its result."""
    fields = None
    if state == "done":
        fields = {
            "task": "zero-shot",
            "dataset": "d",
            "split_hash": "0" * 12,
            "binding": binding,
            "modality": "event",
            "encoders": {"event": f"{binding}-event", "text": f"{binding}-text"},
            "seed": seed,
            "n": 1000,
            "gallery_size": 101,
            "metrics": metrics,
            "prompts": ["a photo of a {}"],
            "versions": VERSIONS,
            **result,
        }
    return {
        "evaluation": number,
        "binding": binding,
        "seed": seed,
        "identity": identity,
        "state": state,
        "error": error,
        "main_metric": main_metric,
        "result": fields,
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
    suite_fields = asdict(Suite(name, tuple(evaluations), **suite))
    del suite_fields["evaluations"]
    fields = {
        "format": 2,
        "suite": suite_fields,
        "evaluations": [asdict(each) for each in evaluations],
        "bindings": list(dict.fromkeys(each["binding"] for each in cells)),
        "cells": list(cells),
    }
    (folder / "results.json").write_text(json.dumps(fields))
    return folder


@pytest.fixture
def evaluation() -> Callable[..., Evaluation]:
    return make_evaluation


@pytest.fixture
def cell() -> Callable[..., dict[str, Any]]:
    return make_cell


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes results to a folder by its name."""
    return lambda folder, evaluations, cells, **suite: write_results(tmp_path / folder, evaluations, cells, **suite)
