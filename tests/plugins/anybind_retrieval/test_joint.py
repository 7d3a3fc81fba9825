"""Joint queries in search and in the task `retrieval`, and the fit of their weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
import anybind_retrieval
from anybind import BadInput, Embeddings, Space
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption
from anybind_retrieval.task import Retrieval


def search(cli, *arguments):
    result = cli("search", *arguments, "--json", "--binding", "colours:sound")
    assert result.code == 0, result
    return json.loads(result.out)


@pytest.fixture
def gallery(media):
    """Add a yellow image and three sounds to the images of `media`."""
    media.write_image("yellow.png", "yellow")
    for colour in ("red", "green", "blue"):
        media.write_sound(f"{colour}.wav", colour)
    return media


def list_images(results):
    return [hit["file"].rpartition("/")[2] for hit in results["hits"] if hit["modality"] == "image"]


def test_an_image_and_a_text_find_what_is_like_both_and_not_the_image_itself(cli, gallery):
    red = gallery.folder / "a red.png"
    results = search(cli, "--in", gallery.folder, "--query-image", red, "--query-text", "green")
    assert list_images(results)[0] == "yellow.png"
    assert "a red.png" not in list_images(results)
    assert (results["query"], results["modality"]) == (f"green + {red}", "text+image")
    binder = anybind.load("colours")
    expected = binder.embed({"text": "green", "image": red}) @ binder.embed("image", [gallery.folder / "yellow.png"])
    assert results["hits"][0]["cosine"] == pytest.approx(float(expected[0, 0]), abs=1e-6)


def test_weights_shift_the_query(cli, gallery):
    red = gallery.folder / "a red.png"
    options = ("--in", gallery.folder, "--query-image", red, "--query-text", "green", "--query-weight", "text=9")
    results = search(cli, *options)
    assert list_images(results)[0] == "green.png"
    assert results["weights"] == {"text": 9}


def test_a_modality_may_be_repeated_and_one_part_is_a_plain_query(cli, gallery):
    results = search(cli, "--in", gallery.folder, "--query-text", "red", "--query-text", "green")
    assert list_images(results)[0] == "yellow.png"
    single = search(cli, "--in", gallery.folder, "--query-text", "red")
    plain = search(cli, "red", "--in", gallery.folder)
    assert single["hits"] == plain["hits"]


def test_joint_queries_have_a_page_and_a_python_function(cli, gallery, tmp_path):
    page = tmp_path / "page.html"
    query = {"image": str(gallery.folder / "a red.png"), "text": ["green", "blue"]}
    results = anybind_retrieval.search(query, gallery.folder, binding="colours:sound", weights={"text": 0.5})
    results.save_page(page)
    assert "text" in results.query.modality
    assert "embedded as" not in page.read_text()
    assert "a red.png" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("red", "--query-text", "green"), "give one query, or several"),
        ((), "the query is empty"),
        (("--query-text", " "), "the query is empty"),
        (("--query-depth", "d.png"), "embeds no depth"),
        (("--query-image", "absent.png"), "there is no file absent.png; check the path\n"),
        (("--query-text", "red", "--query-weight", "image=2"), "no query has 'image'"),
        (
            ("--query-text", "red", "--query-weight", "text=much"),
            "the weight of text: expected a finite number, got 'much'",
        ),
        (("--query-text", "red", "--as", "text"), "--as text excludes a joint query"),
        (("red", "--query-weight", "text=2"), "weights need a joint query"),
    ],
)
def test_invalid_joint_queries_are_errors_of_one_line(cli, gallery, arguments, message):
    result = cli("search", "--in", gallery.folder, "--binding", "colours:sound", *arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err


class Triplets(Dataset):
    """Images in two colours by half, whose text and sound each name one of the two."""

    name = "triplets"

    def __init__(self, media):
        self.set_items(
            [
                Item(
                    f"{text}-{sound}",
                    np.array([[COLOURS[text]], [COLOURS[sound]]], np.uint8),
                    partners={"text": text, "sound": media.write_sound(f"{text}-{sound}.wav", sound)},
                )
                for text in COLOURS
                for sound in COLOURS
                if text < sound
            ]
        )


COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def test_retrieval_by_joined_modalities_finds_what_neither_finds_alone(media):
    binder, dataset = anybind.load("colours:sound"), Triplets(media)
    alone = Retrieval(to="image").run(binder, dataset, modality="text")
    joint = Retrieval(to="image", joined=["sound"]).run(binder, dataset, modality="text")
    assert alone.metrics["text_to_image_R@1"] < 1
    assert joint.metrics["text+sound_to_image_R@1"] == joint.metrics["image_to_text+sound_R@1"] == 1
    assert joint.n == 3
    only_text = Retrieval(to="image", joined=["sound"], weights={"sound": 1e-9}).run(binder, dataset, modality="text")
    assert only_text.metrics["text+sound_to_image_R@1"] == alone.metrics["text_to_image_R@1"]


def test_invalid_joined_modalities_are_named(media):
    binder, dataset = anybind.load("colours:sound"), Triplets(media)
    with pytest.raises(BadOption, match="joined: expected other modalities than text and image, got image"):
        Retrieval(to="image", joined=["image"]).run(binder, dataset, modality="text")
    with pytest.raises(BadOption, match="relevance=instance"):
        Retrieval(to="image", joined="sound", relevance="class")
    with pytest.raises(BadOption, match="needs joined"):
        Retrieval(to="image", weights={"text": 1})
    with pytest.raises(anybind.AnybindError, match="no encoder for 'depth'"):
        Retrieval(to="image", joined="depth").run(binder, dataset, modality="text")


def draw_embeddings(vectors, modality, space="s"):
    ids = tuple(map(str, range(len(vectors))))
    return Embeddings(anybind.normalize(vectors), Space(space, vectors.shape[1]), modality, ids)


def test_fitted_weights_are_those_of_the_normal_equations_in_float64():
    random = np.random.default_rng(0)
    a, b, target = (draw_embeddings(random.normal(size=(50, 8)), name) for name in "abt")
    weights = anybind_retrieval.fit_weights([a, b], target, ridge=0.3)
    rows = [each.vectors.astype(float) - each.vectors.astype(float).mean(axis=0) for each in (a, b, target)]
    products = np.array([[np.sum(x * y) / 50 for y in rows] for x in rows])
    expected = np.linalg.solve(products[:2, :2] + 0.3 * np.eye(2), products[:2, 2] + 0.15)
    assert [weights["a"], weights["b"]] == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_fitted_weights_favour_the_modality_that_resembles_the_target():
    random = np.random.default_rng(1)
    target = random.normal(size=(200, 16))
    near, far = (target + noise * random.normal(size=target.shape) for noise in (0.5, 5))
    groups = [draw_embeddings(near, "near"), draw_embeddings(far, "far")]
    weights = anybind_retrieval.fit_weights(groups, draw_embeddings(target, "target"))
    assert weights["near"] > 3 * abs(weights["far"])
    assert sum(weights.values()) == pytest.approx(1)
    equal = anybind_retrieval.fit_weights(groups, draw_embeddings(target, "target"), ridge=1e9)
    assert equal["near"] == pytest.approx(0.5, abs=1e-6)


def test_pairs_that_cannot_be_fitted_are_errors():
    a, b = (draw_embeddings(np.eye(3), name) for name in "ab")
    for queries, target, message in (
        ([], b, "different modalities, got none"),
        ([a, a], b, "different modalities, got a, a"),
        ([a], b[:2], r"got \[3, 2\]"),
        ([a[:1]], b[:1], "two or more rows"),
    ):
        with pytest.raises(BadInput, match=message):
            anybind_retrieval.fit_weights(queries, target)
    with pytest.raises(BadOption, match="ridge"):
        anybind_retrieval.fit_weights([a], b, ridge=0)
    with pytest.raises(anybind.AnybindError, match="fit a to c"):
        anybind_retrieval.fit_weights([a], draw_embeddings(np.eye(3), "c", space="other"))
