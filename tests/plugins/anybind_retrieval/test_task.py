"""The task on a world small enough to follow by hand: colours as pictures and as words."""

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


class Corner(Encoder):
    """Embeds pictures by their mean colour, and words by the colours they name."""

    weights_hash = "1" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality):
        self.modality = modality
        self.space = anybind.Space("colour", 3)

    def encode(self, inputs):
        return anybind.normalize(np.array([self.one(sample) for sample in inputs], dtype=float))

    def one(self, sample):
        if self.modality == "image":
            return sample.reshape(-1, 3).mean(axis=0)
        return next(colour for name, colour in COLOURS.items() if name in sample)


class Colours(Dataset):
    name = "colours"

    def __init__(self, items, classes=()):
        self._items, self._classes = items, classes

    @property
    def items(self):
        return self._items

    @property
    def classes(self):
        return self._classes


def picture(colour):
    return np.full((2, 2, 3), COLOURS[colour], np.uint8)


@pytest.fixture
def binder(registry, add_plugin):
    add_plugin(
        registry,
        ModalitySpec(name="image", summary="s", target="anybind_media.image:Image"),
        ModalitySpec(name="text", summary="s", target="anybind_media.text:Text"),
        ReaderSpec(
            name="picture",
            summary="s",
            target="anybind_media.image:ImageReader",
            modality="image",
            suffixes=(".png",),
        ),
    )
    uses = {of: ConfiguredPart("corner", {"modality": of}) for of in ("image", "text")}
    made = anybind.Binder(anybind.Binding("corners", uses))
    made._encoders = {of: Corner(of) for of in uses}  # the module of a test cannot be imported by name
    return made


def pairs(*names, wrong=()):
    """Items of pictures with their names; those in `wrong` are named after another colour."""
    return [
        Item(f"{number}-{name}", picture(name), partners={"text": dict(wrong).get(name, name)})
        for number, name in enumerate(names)
    ]


def test_the_partner_is_found_in_both_directions(binder):
    result = Retrieval(to="text").run(binder, Colours(pairs(*COLOURS)), modality="image")
    assert (result.n, result.gallery_size, result.modality) == (4, 4, "image")
    assert result.metrics["R@1"] == result.metrics["image_to_text_R@1"] == result.metrics["text_to_image_MRR"] == 1
    assert result.chance["image_to_text_R@1"] == pytest.approx(1 / 4)
    assert result.intervals["image_to_text_R@1"] == (1, 1)
    assert set(result.encoders) == {"image", "text"}
    assert result.to_dict()["directions"]["text_to_image"]["queries"] == 4


def test_a_name_that_two_items_bear_helps_neither(binder):
    result = Retrieval(to="text").run(binder, Colours(pairs("red", "red", "blue")), modality="image")
    assert result.metrics["image_to_text_R@1"] == pytest.approx(1 / 3)
    assert result.metrics["R@1"] == pytest.approx(1 / 3)


def test_each_direction_has_its_own_figures(binder):
    # Blue is named red: asked for by "red", the red picture and the blue one have the same words.
    items = pairs("red", "green", "blue", wrong=[("blue", "red")])
    result = Retrieval(to="text").run(binder, Colours(items), modality="image")
    assert result.metrics["image_to_text_R@1"] == pytest.approx(1 / 3)
    assert result.metrics["text_to_image_R@1"] == pytest.approx(2 / 3)
    assert result.metrics["R@1"] == pytest.approx(1 / 2)


def test_by_class_pictures_and_words_may_be_different_items(binder):
    pictures = [Item(f"p{number}", picture(name), name) for number, name in enumerate(["red", "red", "green"])]
    words = [Item(f"w{number}", f"a {name} thing", name) for number, name in enumerate(["red", "blue", "green"])]
    dataset = Colours([*pictures, *words], tuple(COLOURS))
    result = Retrieval(to="text", relevance="class").run(binder, dataset, modality="image")
    assert (result.n, result.gallery_size) == (3, 3)
    assert result.metrics["R@1"] == result.metrics["text_to_image_mAP@5"] == 1
    assert result.details["directions"] == {
        "image_to_text": {"queries": 3, "gallery": 3, "right_answers": 1, "without_answer": 0},
        "text_to_image": {"queries": 2, "gallery": 3, "right_answers": 1.5, "without_answer": 1},
    }


def test_class_names_are_the_words_of_data_without_any(binder):
    items = [Item(f"p{number}", picture(name), name) for number, name in enumerate(["red", "red", "green"])]
    result = Retrieval(to="text", relevance="class").run(binder, Colours(items, tuple(COLOURS)), modality="image")
    assert result.gallery_size == 4
    assert result.prompts == ("a photo of a {}",)
    back = Retrieval(to="image", relevance="class").run(binder, Colours(items, ("red", "green")), modality="text")
    assert (back.n, back.gallery_size, back.metrics["text_to_image_mAP@5"]) == (2, 3, 1)


@pytest.mark.slow
def test_batches_stand_beside_the_full_gallery_and_drop_the_last_incomplete_one(binder):
    items = pairs("red", "red", "green", "blue", "yellow")
    task = Retrieval(to="text", gallery="in-batch:2")
    result = task.run(binder, Colours(items), modality="image", seed=3)
    assert result.metrics["image_to_text_R@1"] == pytest.approx(3 / 5)
    assert result.details["directions"]["in_batch_image_to_text"]["queries"] == 4
    assert result.details["directions"]["in_batch_image_to_text"]["gallery"] == 2
    assert result.metrics == task.run(binder, Colours(items), modality="image", seed=3).metrics
    # Both reds are in one batch for some seeds only, so the order is drawn.
    drawn = {
        task.run(binder, Colours(items), modality="image", seed=n).metrics["in_batch_image_to_text_R@1"]
        for n in range(9)
    }
    assert len(drawn) > 1


def test_one_whole_batch_equals_the_full_gallery(binder):
    items = pairs("red", "red", "green", "blue", wrong=[("blue", "red")])
    metrics = Retrieval(to="text", gallery="in-batch:4").run(binder, Colours(items), modality="image").metrics
    in_batch = {name.removeprefix("in_batch_"): value for name, value in metrics.items() if name.startswith("in_batch")}
    assert len(in_batch) == 2 * 8
    assert in_batch == pytest.approx({name: metrics[name] for name in in_batch})


def test_unreadable_samples_are_left_out_with_their_partners(binder, tmp_path):
    PIL.Image.fromarray(picture("red")).save(tmp_path / "red.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "red.png").read_bytes()[:40])
    items = pairs("green", "blue") + [
        Item(name, tmp_path / f"{name}.png", partners={"text": "red"}) for name in ("red", "bad", "missing")
    ]
    skipped = {}
    result = Retrieval(to="text").run(
        binder, Colours(items), modality="image", on_bad=lambda id, error: skipped.update({id: str(error)})
    )
    assert set(skipped) == {"bad", "missing"}
    assert (result.n, result.gallery_size, result.metrics["R@1"]) == (3, 3, 1)
    with pytest.raises(anybind.BadInput, match=r"missing\.png"):
        Retrieval(to="text").run(binder, Colours(items), modality="image")


def test_data_that_cannot_answer_is_refused(binder):
    bare = [Item("a", picture("red")), Item("b", picture("green"))]
    with pytest.raises(anybind.BadInput, match="no items with both image and text; relevance=class"):
        Retrieval(to="text").run(binder, Colours(bare), modality="image")
    with pytest.raises(anybind.BadInput, match="no items with a label"):
        Retrieval(to="text", relevance="class").run(binder, Colours(bare), modality="image")
    with pytest.raises(anybind.BadInput, match="two samples of one id"):
        Retrieval(to="text").run(binder, Colours(bare[:1] * 2), modality="image")
    labelled = [Item("a", picture("red"), "crimson")]
    with pytest.raises(anybind.BadInput, match="'crimson', which is none of its classes"):
        Retrieval(to="text").run(binder, Colours(labelled, ("red",)), modality="image")
    strangers = [Item("a", picture("red"), "red"), Item("b", "green", "green")]
    with pytest.raises(anybind.BadInput, match="no image has a right answer among the text"):
        Retrieval(to="text", relevance="class").run(binder, Colours(strangers, ("red", "green")), modality="image")


def test_options_that_make_no_sense_are_refused(binder):
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
    with pytest.raises(BadOption, match="another one than image"):
        Retrieval(to="image").run(binder, Colours(pairs(*COLOURS)), modality="image")
    with pytest.raises(BadOption, match="a batch of 5 is more than the 4 pairs"):
        Retrieval(to="text", gallery="in-batch:5").run(binder, Colours(pairs(*COLOURS)), modality="image")
    items = [Item("p", picture("red"), "red"), Item("w", "red", "red")]
    with pytest.raises(BadOption, match="a batch of 1 is more than the 0 pairs"):
        Retrieval(to="text", relevance="class", gallery="in-batch:1").run(
            binder, Colours(items, ("red",)), modality="image"
        )
    mixed = [*items, Item("both", picture("red"), "red", partners={"text": "red"})]
    with pytest.raises(BadOption, match="batches need items"):
        Retrieval(to="text", relevance="class", gallery="in-batch:1").run(
            binder, Colours(mixed, ("red",)), modality="image"
        )
    with pytest.raises(UnknownName, match="sound"):
        Retrieval(to="sound").run(binder, Colours(pairs(*COLOURS)), modality="image")


def test_one_item_is_found_as_chance_finds_it(binder):
    result = Retrieval(to="text").run(binder, Colours(pairs("red")), modality="image")
    assert (result.n, result.metrics["R@1"], result.chance["R@1"]) == (1, 1, 1)


def test_a_batch_larger_than_all_pairs_is_told_before_anything_is_embedded(binder, monkeypatch):
    monkeypatch.setattr(Corner, "encode", lambda *_: pytest.fail("embedded"))
    with pytest.raises(BadOption, match="a batch of 5 is more than the 4 pairs"):
        Retrieval(to="text", gallery="in-batch:5").run(binder, Colours(pairs(*COLOURS)), modality="image")


def test_a_sample_whose_vector_is_no_number_is_left_out_or_told(binder, monkeypatch):
    black = Item("black", np.zeros((2, 2, 3), np.uint8), partners={"text": "red"})
    skipped = []
    with np.errstate(invalid="ignore"):
        with pytest.raises(anybind.BadInput, match="black"):
            Retrieval(to="text").run(binder, Colours([*pairs("red", "green"), black]), modality="image")
        result = Retrieval(to="text").run(
            binder,
            Colours([*pairs("red", "green"), black]),
            modality="image",
            on_bad=lambda id, error: skipped.append(id),
        )
    assert (skipped, result.n) == (["black"], 2)


def test_the_task_says_which_modalities_it_reads():
    assert Retrieval(to="sound").modalities("event") == ("event", "sound")
