"""The task `retrieval` on colours as images and as texts, small enough to check by hand."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.dataset import Dataset, Item
from anybind.encoder import Encoder
from anybind.errors import BadOption, UnknownName
from anybind.spec import ModalitySpec, ReaderSpec
from anybind_retrieval.task import Retrieval

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 20), "blue": (20, 10, 250), "yellow": (250, 240, 0)}


class ColourEncoder(Encoder):
    """Encoder of images by mean colour, and of texts by the name of a colour."""

    weights_hash = "1" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality):
        self.modality = modality
        self.space = anybind.Space("colour", 3)

    def encode(self, inputs):
        return anybind.normalize(np.array([self.embed_sample(sample) for sample in inputs], dtype=float))

    def embed_sample(self, sample):
        if self.modality == "image":
            return sample.reshape(-1, 3).mean(axis=0)
        return next(colour for name, colour in COLOURS.items() if name in sample)


class ColourDataset(Dataset):
    name = "colours"

    def __init__(self, items, classes=()):
        self._items, self._classes = items, classes

    @property
    def items(self):
        return self._items

    @property
    def classes(self):
        return self._classes


def make_image(colour):
    return np.full((2, 2, 3), COLOURS[colour], np.uint8)


@pytest.fixture
def binder(registry, add_plugin):
    add_plugin(
        registry,
        ModalitySpec(name="image", summary="s", target="anybind_media.image:Image"),
        ModalitySpec(name="text", summary="s", target="anybind_media.text:Text"),
        ReaderSpec(
            name="png",
            summary="s",
            target="anybind_media.image:ImageReader",
            modality="image",
            suffixes=(".png",),
        ),
    )
    encoders = {modality: ConfiguredPart("colour", {"modality": modality}) for modality in ("image", "text")}
    binder = anybind.Binder(anybind.Binding("colours", encoders))
    # A test module cannot be imported by name.
    binder._loader.encoders = {(name, "auto"): ColourEncoder(name) for name in encoders}
    return binder


def make_pairs(*names, wrong=()):
    """Return items of images with captions; those in `wrong` are captioned with another colour."""
    return [
        Item(f"{number}-{name}", make_image(name), partners={"text": dict(wrong).get(name, name)})
        for number, name in enumerate(names)
    ]


def test_partners_rank_first_in_both_directions(binder):
    result = Retrieval(to="text").run(binder, ColourDataset(make_pairs(*COLOURS)), modality="image")
    assert (result.n, result.gallery_size, result.modality) == (4, 4, "image")
    assert result.metrics["R@1"] == result.metrics["image_to_text_R@1"] == result.metrics["text_to_image_MRR"] == 1
    assert result.chance["image_to_text_R@1"] == pytest.approx(1 / 4)
    assert result.intervals["image_to_text_R@1"] == (1, 1)
    assert set(result.encoders) == {"image", "text"}
    assert result.to_dict()["directions"]["text_to_image"]["queries"] == 4


def test_equal_captions_of_two_items_help_neither(binder):
    result = Retrieval(to="text").run(binder, ColourDataset(make_pairs("red", "red", "blue")), modality="image")
    assert result.metrics["image_to_text_R@1"] == pytest.approx(1 / 3)
    assert result.metrics["R@1"] == pytest.approx(1 / 3)


def test_each_direction_has_its_own_metrics(binder):
    # Blue is captioned "red": the red image and the blue one have the same caption.
    items = make_pairs("red", "green", "blue", wrong=[("blue", "red")])
    result = Retrieval(to="text").run(binder, ColourDataset(items), modality="image")
    assert result.metrics["image_to_text_R@1"] == pytest.approx(1 / 3)
    assert result.metrics["text_to_image_R@1"] == pytest.approx(2 / 3)
    assert result.metrics["R@1"] == pytest.approx(1 / 2)


def test_class_relevance_pairs_images_and_texts_of_different_items(binder):
    images = [Item(f"p{number}", make_image(name), name) for number, name in enumerate(["red", "red", "green"])]
    texts = [Item(f"w{number}", f"a {name} thing", name) for number, name in enumerate(["red", "blue", "green"])]
    dataset = ColourDataset([*images, *texts], tuple(COLOURS))
    result = Retrieval(to="text", relevance="class").run(binder, dataset, modality="image")
    assert (result.n, result.gallery_size) == (3, 3)
    assert result.metrics["R@1"] == result.metrics["text_to_image_mAP@5"] == 1
    assert result.details["directions"] == {
        "image_to_text": {"queries": 3, "gallery": 3, "relevant_per_query": 1, "queries_without_relevant": 0},
        "text_to_image": {"queries": 2, "gallery": 3, "relevant_per_query": 1.5, "queries_without_relevant": 1},
    }


def test_class_names_are_the_texts_of_a_dataset_without_texts(binder):
    items = [Item(f"p{number}", make_image(name), name) for number, name in enumerate(["red", "red", "green"])]
    result = Retrieval(to="text", relevance="class").run(binder, ColourDataset(items, tuple(COLOURS)), modality="image")
    assert result.gallery_size == 4
    assert result.prompts == ("a photo of a {}",)
    back = Retrieval(to="image", relevance="class").run(binder, ColourDataset(items, ("red", "green")), modality="text")
    assert (back.n, back.gallery_size, back.metrics["text_to_image_mAP@5"]) == (2, 3, 1)


@pytest.mark.slow
def test_batches_are_added_to_the_full_gallery_and_drop_the_incomplete_one(binder):
    items = make_pairs("red", "red", "green", "blue", "yellow")
    task = Retrieval(to="text", gallery="in-batch:2")
    result = task.run(binder, ColourDataset(items), modality="image", seed=3)
    assert result.metrics["image_to_text_R@1"] == pytest.approx(3 / 5)
    assert result.details["directions"]["in_batch_image_to_text"]["queries"] == 4
    assert result.details["directions"]["in_batch_image_to_text"]["gallery"] == 2
    assert result.metrics == task.run(binder, ColourDataset(items), modality="image", seed=3).metrics
    # Both reds are in one batch for some seeds only: the order is random.
    values = {
        task.run(binder, ColourDataset(items), modality="image", seed=n).metrics["in_batch_image_to_text_R@1"]
        for n in range(9)
    }
    assert len(values) > 1


def test_one_whole_batch_equals_the_full_gallery(binder):
    items = make_pairs("red", "red", "green", "blue", wrong=[("blue", "red")])
    metrics = Retrieval(to="text", gallery="in-batch:4").run(binder, ColourDataset(items), modality="image").metrics
    in_batch = {name.removeprefix("in_batch_"): value for name, value in metrics.items() if name.startswith("in_batch")}
    assert len(in_batch) == 2 * 8
    assert in_batch == pytest.approx({name: metrics[name] for name in in_batch})


def test_invalid_samples_are_skipped_with_their_partners(binder, tmp_path):
    PIL.Image.fromarray(make_image("red")).save(tmp_path / "red.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "red.png").read_bytes()[:40])
    items = make_pairs("green", "blue") + [
        Item(name, tmp_path / f"{name}.png", partners={"text": "red"}) for name in ("red", "bad", "missing")
    ]
    skipped = {}
    result = Retrieval(to="text").run(
        binder, ColourDataset(items), modality="image", on_bad=lambda id, error: skipped.update({id: str(error)})
    )
    assert set(skipped) == {"bad", "missing"}
    assert (result.n, result.gallery_size, result.metrics["R@1"]) == (3, 3, 1)
    with pytest.raises(anybind.BadInput, match=r"missing\.png"):
        Retrieval(to="text").run(binder, ColourDataset(items), modality="image")


def test_unsuitable_datasets_are_refused(binder):
    bare = [Item("a", make_image("red")), Item("b", make_image("green"))]
    with pytest.raises(anybind.BadInput, match="no items with both image and text; relevance=class"):
        Retrieval(to="text").run(binder, ColourDataset(bare), modality="image")
    with pytest.raises(anybind.BadInput, match="no items with a label"):
        Retrieval(to="text", relevance="class").run(binder, ColourDataset(bare), modality="image")
    with pytest.raises(anybind.BadInput, match="two samples of one id"):
        Retrieval(to="text").run(binder, ColourDataset(bare[:1] * 2), modality="image")
    labelled = [Item("a", make_image("red"), "crimson")]
    with pytest.raises(anybind.BadInput, match="expected labels of its classes, got 'crimson'"):
        Retrieval(to="text").run(binder, ColourDataset(labelled, ("red",)), modality="image")
    unmatched = [Item("a", make_image("red"), "red"), Item("b", "green", "green")]
    with pytest.raises(anybind.BadInput, match="no image has a relevant sample among the text samples"):
        Retrieval(to="text", relevance="class").run(
            binder, ColourDataset(unmatched, ("red", "green")), modality="image"
        )


def test_invalid_options_are_refused(binder):
    for options in (
        {"relevance": "colour"},
        {"gallery": "in-batch:0"},
        {"gallery": "half"},
        {"resamples": 0},
        {"resamples": 10**9},
        {"to": 5},
        {"templates": ["a photo"]},
    ):
        with pytest.raises(BadOption):
            Retrieval(**{"to": "text", **options})
    with pytest.raises(BadOption, match="another modality than the samples' own, got 'image'"):
        Retrieval(to="image").run(binder, ColourDataset(make_pairs(*COLOURS)), modality="image")
    with pytest.raises(BadOption, match="a batch of 5 is more than the 4 pairs"):
        Retrieval(to="text", gallery="in-batch:5").run(binder, ColourDataset(make_pairs(*COLOURS)), modality="image")
    items = [Item("p", make_image("red"), "red"), Item("w", "red", "red")]
    with pytest.raises(BadOption, match="a batch of 1 is more than the 0 pairs"):
        Retrieval(to="text", relevance="class", gallery="in-batch:1").run(
            binder, ColourDataset(items, ("red",)), modality="image"
        )
    mixed = [*items, Item("both", make_image("red"), "red", partners={"text": "red"})]
    with pytest.raises(BadOption, match="batches need items"):
        Retrieval(to="text", relevance="class", gallery="in-batch:1").run(
            binder, ColourDataset(mixed, ("red",)), modality="image"
        )
    with pytest.raises(UnknownName, match="sound"):
        Retrieval(to="sound").run(binder, ColourDataset(make_pairs(*COLOURS)), modality="image")


def test_chance_of_one_item_is_1(binder):
    result = Retrieval(to="text").run(binder, ColourDataset(make_pairs("red")), modality="image")
    assert (result.n, result.metrics["R@1"], result.chance["R@1"]) == (1, 1, 1)


def test_batch_larger_than_the_dataset_is_refused_before_embedding(binder, monkeypatch):
    monkeypatch.setattr(ColourEncoder, "encode", lambda *_: pytest.fail("embedded"))
    with pytest.raises(BadOption, match="a batch of 5 is more than the 4 pairs"):
        Retrieval(to="text", gallery="in-batch:5").run(binder, ColourDataset(make_pairs(*COLOURS)), modality="image")


def test_sample_with_a_nan_embedding_is_skipped_or_refused(binder, monkeypatch):
    black = Item("black", np.zeros((2, 2, 3), np.uint8), partners={"text": "red"})
    skipped = []
    with np.errstate(invalid="ignore"):
        with pytest.raises(anybind.BadInput, match="black"):
            Retrieval(to="text").run(binder, ColourDataset([*make_pairs("red", "green"), black]), modality="image")
        result = Retrieval(to="text").run(
            binder,
            ColourDataset([*make_pairs("red", "green"), black]),
            modality="image",
            on_bad=lambda id, error: skipped.append(id),
        )
    assert (skipped, result.n) == (["black"], 2)


def test_modalities_are_those_of_samples_and_gallery():
    assert Retrieval(to="sound").modalities("event") == ("event", "sound")
