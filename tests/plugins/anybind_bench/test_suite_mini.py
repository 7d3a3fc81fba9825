"""The suite `mini`: what it asks can be asked with nothing downloaded and no data given."""

from __future__ import annotations

import pytest

import anybind
from anybind.registry import create
from anybind_bench.suite import find_suite

SUITE = find_suite("mini")


def test_no_question_wants_data_and_no_figure_is_said_to_be_published():
    assert SUITE.bindings == ("mini",)
    assert all(question.made and not question.published for question in SUITE.questions)
    assert not SUITE.compare


def test_every_kind_of_question_is_asked():
    assert {question.task for question in SUITE.questions} == {"zero-shot", "few-shot", "retrieval", "vad"}
    assert {question.modality for question in SUITE.questions} == {"image", "event", "depth"}


@pytest.mark.parametrize("question", SUITE.questions, ids=lambda question: question.title)
def test_its_parts_are_there_and_take_its_options(question, tmp_path, monkeypatch):
    for package in ("sklearn", "skimage", "av", "faiss"):
        pytest.importorskip(package)
    task = create("task", question.task, **question.options)
    options = {**question.dataset_options, "limit": 3} if question.dataset != "made-films" else {}
    monkeypatch.setattr("anybind_datasets.made_films.FRAMES", 4)
    dataset = create("dataset", question.dataset, tmp_path, **options)
    assert dataset.items
    binding = anybind.find_binding("mini")
    assert set(task.modalities(question.modality)) <= set(binding.encoders)
