"""The suite `mini`: evaluations without downloads or own data."""

from __future__ import annotations

import pytest

import anybind
from anybind.registry import create_part
from anybind_bench.suite import find_suite

pytestmark = pytest.mark.torch

SUITE = find_suite("mini")


def test_mini_suite_needs_no_data_and_has_no_published_values():
    assert SUITE.bindings == ("mini",)
    assert all(evaluation.generated and not evaluation.published for evaluation in SUITE.evaluations)
    assert not SUITE.compare


def test_mini_suite_covers_every_task():
    assert {evaluation.task for evaluation in SUITE.evaluations} == {"zero-shot", "few-shot", "retrieval", "vad"}
    assert {evaluation.modality for evaluation in SUITE.evaluations} == {"image", "event", "depth"}


@pytest.mark.parametrize("evaluation", SUITE.evaluations, ids=lambda evaluation: evaluation.title)
def test_mini_suite_passes_conformance_checks(evaluation, tmp_path, monkeypatch):
    for package in ("sklearn", "skimage", "av"):
        pytest.importorskip(package)
    task = create_part("task", evaluation.task, **evaluation.options)
    options = {**evaluation.dataset_options, "limit": 3} if evaluation.dataset != "synthetic-videos" else {}
    monkeypatch.setattr("anybind_datasets.synthetic_videos.FRAMES", 4)
    dataset = create_part("dataset", evaluation.dataset, tmp_path, **options)
    assert dataset.items
    binding = anybind.find_binding("mini")
    assert set(task.modalities(evaluation.modality)) <= set(binding.encoders)
