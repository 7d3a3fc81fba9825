"""Results: JSON, versions, notebooks."""

from __future__ import annotations

from importlib.metadata import version

import pytest

import anybind
from anybind.errors import PluginError


def result(**fields):
    given = {"task": "t", "dataset": "d", "split_hash": "h", "binding": "b", "modality": "image"}
    return anybind.Result(**given, encoders={}, seed=0, n=3, gallery_size=2, **{"metrics": {"top1": 0.5}, **fields})


def test_metrics_and_details_are_flattened_into_the_fields():
    flat = result(details={"classes": ["a"]}).to_dict()
    assert (flat["top1"], flat["classes"], flat["n"]) == (0.5, ["a"], 3)


@pytest.mark.parametrize("fields", [{"metrics": {"n": 1.0}}, {"details": {"seed": 3}}, {"details": {"top1": 3}}])
def test_two_values_of_one_name_raise(fields):
    with pytest.raises(PluginError, match="gives two values for"):
        result(**fields).to_dict()


def test_versions_of_all_that_shapes_the_numbers_are_recorded():
    versions = result().versions
    assert versions["torch"] == version("torch")
    assert versions["anybind"] == version("anybind")
    assert {"python", "numpy", "timm", "open_clip_torch", "transformers"} <= versions.keys()
    assert "ruff" not in versions


def test_a_notebook_shows_metrics_with_interval_chance_and_why_one_is_undefined():
    evaluated = result(intervals={"top1": (0.25, 0.75)}, chance={"top1": 0.1}, undefined={"auroc": "<one class>"})
    html = evaluated._repr_html_()
    assert "<td>0.2500 to 0.7500</td><td>0.1000</td>" in html
    assert "&lt;one class&gt;" in html
