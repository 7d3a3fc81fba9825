"""The suite `mini`: what it asks can be asked with nothing downloaded and no data given."""

from __future__ import annotations

import pytest

import anybind
from anybind.registry import create_part
from anybind_bench.suite import find_suite

SUITE = find_suite("mini")


def test_no_evaluation_wants_data_and_no_figure_is_said_to_be_published():
    assert SUITE.bindings == ("mini",)
    assert all(evaluation.made and not evaluation.published for evaluation in SUITE.evaluations)
    assert not SUITE.compare


def test_every_kind_of_evaluation_is_asked():
    assert {evaluation.task for evaluation in SUITE.evaluations} == {"zero-shot", "few-shot", "retrieval", "vad"}
    assert {evaluation.modality for evaluation in SUITE.evaluations} == {"image", "event", "depth"}


@pytest.mark.parametrize("evaluation", SUITE.evaluations, ids=lambda evaluation: evaluation.title)
def test_its_parts_are_there_and_take_its_options(evaluation, tmp_path, monkeypatch):
    for package in ("sklearn", "skimage", "av"):
        pytest.importorskip(package)
    task = create_part("task", evaluation.task, **evaluation.options)
    options = {**evaluation.dataset_options, "limit": 3} if evaluation.dataset != "made-films" else {}
    monkeypatch.setattr("anybind_datasets.made_films.FRAMES", 4)
    dataset = create_part("dataset", evaluation.dataset, tmp_path, **options)
    assert dataset.items
    binding = anybind.find_binding("mini")
    assert set(task.modalities(evaluation.modality)) <= set(binding.encoders)
