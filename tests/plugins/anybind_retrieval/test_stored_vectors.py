"""Indexes of int8 codes, of bits, and of the first dimensions: recall, size, updates, errors."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind.tensors import read_tensors, write_tensors
from anybind_retrieval.file_index import CARD, FileIndex, FileIndexWriter
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_retrieval.indexing import build_index, open_index
from anybind_retrieval.ranking import rank_entries
from anybind_retrieval.searching import search
from anybind_retrieval.vectors import VECTORS

ENCODER = IndexedEncoder("image", "0" * 12)
DIM, COUNT = 100, 3000
"""A dimension not divisible by 8, and more entries than a search of bits takes as candidates."""


def make_vectors(count=COUNT, seed=0):
    """Return clustered vectors: each is near some others, as embeddings are."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(1 + count // 20, DIM))
    return anybind.normalize(centres[random.integers(len(centres), size=count)] + random.normal(size=(count, DIM)))


def write_index(path, vectors, stored="float32", **card):
    writer = FileIndexWriter(path, None)
    writer.add("image", [IndexEntry(f"/i/{number:05}.png", 1, 1) for number in range(len(vectors))], vectors)
    space = anybind.Space("s", vectors.shape[1])
    writer.finish(IndexCard("b", space, {"image": ENCODER}, stored, **card))
    return FileIndex(path)


def list_paths(index, query, top_k=10):
    return [hit.path for hit in rank_entries(index, "image", query, top_k)]


@pytest.mark.parametrize(("stored", "least", "size"), [("int8", 0.97, 0.3), ("binary", 0.95, 0.33)])
def test_recall_and_size(tmp_path, stored, least, size):
    vectors = make_vectors()
    exact = write_index(tmp_path / "exact.safetensors", vectors)
    index = write_index(tmp_path / "coded.safetensors", vectors, stored)
    queries = make_vectors(60)
    counts = [len(set(list_paths(exact, query)) & set(list_paths(index, query))) for query in queries]
    assert np.mean(counts) / 10 >= least
    paths = 40 * COUNT  # bytes that both have
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size - paths for name in ("coded", "exact")]
    assert sizes[0] < size * sizes[1]


@pytest.mark.parametrize("stored", ["int8", "binary"])
def test_similarities_of_codes_are_close_and_vectors_of_norm_one(tmp_path, stored):
    vectors = make_vectors(300)
    index = write_index(tmp_path / "i.safetensors", vectors, stored)
    np.testing.assert_allclose(np.linalg.norm(index.get_vectors("image"), axis=1), 1, atol=1e-6)
    assert np.abs(index.get_vectors("image") @ vectors.T - vectors @ vectors.T).max() < 0.01
    hits = rank_entries(index, "image", vectors[7], 300)
    assert hits[0].path == "/i/00007.png"
    assert [hit.cosine for hit in hits] == sorted((hit.cosine for hit in hits), reverse=True)


@pytest.mark.parametrize("stored", list(VECTORS))
def test_an_update_keeps_stored_rows_as_they_are(tmp_path, stored):
    vectors = make_vectors(40)
    path = tmp_path / "i.safetensors"
    before = write_index(path, vectors, stored)
    writer = FileIndexWriter(path, before)
    writer.drop("image", {("/i/00003.png", "")})
    writer.add("image", [IndexEntry("/i/99999.png", 1, 1)], vectors[:1])
    writer.finish(before.card)
    rows, after = before.get_vectors("image"), FileIndex(path).get_vectors("image")
    np.testing.assert_array_equal(after, np.concatenate([np.delete(rows, 3, axis=0), rows[:1]]))


def test_a_float32_index_is_as_earlier_versions_wrote_it(tmp_path):
    write_index(tmp_path / "i.safetensors", make_vectors(5))
    card, arrays = read_tensors(tmp_path / "i.safetensors", key=CARD)
    assert set(card) == {"version", "binding", "space", "shelves"}
    assert set(arrays) == {"image.vectors", "image.files", "image.sizes", "image.mtimes"}


@pytest.mark.parametrize("change", ["zeros", "float32 codes", "fewer rows", "fewer bits", "unknown vectors"])
def test_damaged_codes_are_one_line(tmp_path, change):
    path = tmp_path / "i.safetensors"
    write_index(path, make_vectors(40), "binary")
    card, arrays = read_tensors(path, key=CARD)
    arrays = {name: np.array(array) for name, array in arrays.items()}
    if change == "zeros":
        arrays["image.codes"][:] = 0
    elif change == "float32 codes":
        arrays["image.codes"] = arrays["image.codes"].astype(np.float32)
    elif change == "fewer rows":
        arrays["image.codes"] = arrays["image.codes"][:-1]
    elif change == "fewer bits":
        arrays["image.bits"] = arrays["image.bits"][:, :-1]
    else:
        card["vectors"] = "int2"
    write_tensors(path, arrays, card, key=CARD)
    with pytest.raises(BadInput, match=r"i\.safetensors.*rebuild it with anybind index --rebuild") as caught:
        rank_entries(FileIndex(path), "image", make_vectors(20)[0], 5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stored", list(VECTORS))
def test_search_follows_what_the_index_holds(media, tmp_path, stored):
    path = tmp_path / "i.safetensors"
    report = build_index(path, media.folder, binding="colours", vectors=stored)
    assert report.entries == {"image": 3}
    assert open_index(str(path)).card.vectors == stored
    hits = search("a red thing", path, top_k=3).hits
    assert hits[0].path.endswith("a red.png")
    media.write_image("yellow.png", "yellow")
    counts = build_index(path, media.folder, binding="colours").counts  # an update needs no option
    assert (counts.added, counts.unchanged) == (1, 3)
    assert open_index(str(path)).card.vectors == stored
    build_index(path, media.folder, binding="colours", vectors=stored)
    with pytest.raises(BadOption, match=r"stores 3 dimensions as .*, got 3 as .*leave the option out, or rebuild it"):
        build_index(path, media.folder, binding="colours", vectors="int8" if stored != "int8" else "float32")


@pytest.mark.parametrize("name", ["i.safetensors", "i.lance"])
def test_a_truncated_index_has_the_first_dimensions_of_norm_one(media, tmp_path, name):
    path = tmp_path / name
    report = build_index(path, media.folder, binding="colours", truncate_dim=2)
    assert report.space.dim == 2
    index = open_index(str(path))
    entries, vectors = index.find_candidates("image", np.array([1, 0], np.float32), 3)
    full = anybind.load("colours").embed("image", [entry.path for entry in entries]).vectors
    np.testing.assert_allclose(vectors, anybind.normalize(full[:, :2]), atol=1e-6)
    hit = search("a green thing", path, top_k=1).hits[0]
    expected = anybind.normalize(anybind.load("colours").embed("text", ["a green thing"]).vectors[:, :2])[0]
    own = anybind.normalize(anybind.load("colours").embed("image", [hit.path]).vectors[:, :2])[0]
    assert hit.path.endswith("green.png")
    assert hit.cosine == pytest.approx(float(own @ expected), abs=1e-5)
    media.write_image("yellow.png", "yellow")
    assert build_index(path, media.folder, binding="colours").counts.added == 1
    with pytest.raises(BadOption, match="stores 2 dimensions as float32, got 3 as float32"):
        build_index(path, media.folder, binding="colours", truncate_dim=3)
    assert build_index(path, media.folder, binding="colours", truncate_dim=3, rebuild=True).space.dim == 3
    index = build_index(path, media.folder, binding="colours", truncate_dim=np.int64(2), rebuild=True)
    assert (index.space.dim, type(index.space.dim)) == (2, int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncate_dim": 4}, r"truncate_dim: expected at most the 3 dimensions of colour, got 4"),
        ({"truncate_dim": 0}, r"truncate_dim: expected an integer above 0, got 0"),
        ({"vectors": "int"}, r"expected vectors of float32, int8, binary, got 'int'; did you mean 'int8'\?"),
    ],
)
def test_invalid_formats_are_one_line_and_leave_no_file(media, tmp_path, options, message):
    with pytest.raises(BadOption, match=message):
        build_index(tmp_path / "i.safetensors", media.folder, binding="colours", **options)
    assert not (tmp_path / "i.safetensors").exists()


def test_a_lance_index_refuses_codes(media, tmp_path):
    with pytest.raises(BadOption, match=r"a \.lance index stores float32.*use a \.safetensors file for int8"):
        build_index(tmp_path / "i.lance", media.folder, binding="colours", vectors="int8")


def test_the_command_takes_the_options(cli, media, tmp_path):
    options = ["--binding", "colours", "--no-store", "--vectors", "binary", "--truncate-dim", "2", "--workers", "1"]
    process = cli("index", media.folder, "-o", "i.safetensors", *options, "--json")
    assert process.code == 0, process
    card = open_index("i.safetensors").card
    assert (card.vectors, card.space.dim, card.full_dim) == ("binary", 2, 3)
    hits = json.loads(cli("search", "a red thing", "--in", "i.safetensors", "--json").out)["hits"]
    assert hits[0]["file"].endswith("a red.png")
    shutil.copy("i.safetensors", "copy.safetensors")
    refused = cli("index", media.folder, "-o", "copy.safetensors", "--binding", "colours", "--vectors", "int8")
    assert refused.code == 2
    assert refused.err.startswith("error: copy.safetensors stores 2 dimensions as binary, got 2 as int8")


def test_a_precision_is_kept_in_the_index_and_used_by_search(media, tmp_path, monkeypatch):
    path = tmp_path / "i.safetensors"
    build_index(path, media.folder, binding="colours")
    card, arrays = read_tensors(path, key=CARD)
    write_tensors(
        path, {name: np.array(array) for name, array in arrays.items()}, {**card, "precision": "bf16"}, key=CARD
    )
    with pytest.raises(BadOption, match="the text encoder ColourEncoder computes in fp32 only, got bf16"):
        search("a red thing", path)
