"""Embeddings: norms, spaces, selection, files, conversions."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import anybind
from anybind.errors import BadOption, SpaceMismatch

SPACE = anybind.Space("test", 3, "repo@1")
AXES = np.eye(3, dtype=np.float32)


def embeddings(vectors=AXES, space=SPACE, **fields) -> anybind.Embeddings:
    ids = tuple(f"id{i}" for i in range(len(vectors)))
    return anybind.Embeddings(vectors, space, fields.pop("modality", "image"), ids, **fields)


def test_the_product_of_two_is_the_cosine_similarity():
    a = embeddings(anybind.normalize(np.array([[1.0, 1, 0], [0, 3, 4]])))
    similarity = a @ embeddings(modality="text")
    expected = np.array([[0.5**0.5, 0.5**0.5, 0], [0, 0.6, 0.8]])
    np.testing.assert_allclose(similarity, expected, atol=1e-6)


@pytest.mark.parametrize("field", [{"name": "other"}, {"backbone": "repo@2"}])
def test_vectors_of_different_spaces_are_never_compared(field):
    other = embeddings(space=replace(SPACE, **field), modality="text")
    with pytest.raises(SpaceMismatch, match="cannot compare image with text"):
        embeddings() @ other


@pytest.mark.parametrize("bad", [[[2.0, 0, 0]], [[0.0, 0, 0]], [[np.nan, 0, 0]], [[1.0, 0.02, 0]]])
def test_vectors_of_another_norm_than_1_raise(bad):
    with pytest.raises(anybind.BadInput, match="'id0' has norm"):
        embeddings(np.array(bad, dtype=np.float32))


def test_a_shape_that_disagrees_with_space_or_ids_raises():
    with pytest.raises(anybind.BadInput, match=r"need shape \(2, 3\)"):
        anybind.Embeddings(AXES, SPACE, "image", ("a", "b"))


def test_vectors_are_a_read_only_copy():
    vectors_given = AXES.copy()
    result = embeddings(vectors_given)
    vectors_given[0] = 7
    np.testing.assert_array_equal(result.vectors, AXES)
    with pytest.raises(ValueError, match="read-only"):
        result.vectors[0, 0] = 5


def test_rows_are_taken_by_slice_indices_or_mask():
    result = embeddings()
    assert result[1:].ids == ("id1", "id2")
    assert result[[2, 0]].ids == ("id2", "id0")
    assert result[np.array([True, False, True])].ids == ("id0", "id2")
    np.testing.assert_array_equal(result[[2, 0]].vectors, AXES[[2, 0]])


FLOATS = st.floats(-1e6, 1e6, width=32)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=FLOATS))
def test_normalize_scales_to_norm_1_and_raises_for_zero_vectors(vectors):
    norms = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
    if (norms == 0).any():
        with pytest.raises(anybind.BadInput, match="no direction"):
            anybind.normalize(vectors)
        return
    scaled = anybind.normalize(vectors)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, vectors.astype(np.float64) / norms[:, None], atol=1e-6)


def test_saved_embeddings_are_loaded_unchanged(tmp_path):
    path = tmp_path / "v.safetensors"
    first = embeddings(encoder="abc-def", logit_scale=17.8)
    second = embeddings(AXES[:1], modality="event")
    anybind.save_embeddings(path, [first, second])
    back = anybind.load_embeddings(path)
    assert set(back) == {"image", "event"}
    for given_, read in ((first, back["image"]), (second, back["event"])):
        np.testing.assert_array_equal(read.vectors, given_.vectors)
        assert read.ids == given_.ids
        assert (read.space, read.encoder, read.logit_scale) == (given_.space, given_.encoder, given_.logit_scale)


@pytest.mark.parametrize("contents", [b"", b"no safetensors at all", b"\xff" * 64])
def test_a_file_without_embeddings_raises_with_its_path(tmp_path, contents):
    path = tmp_path / "v.safetensors"
    path.write_bytes(contents)
    with pytest.raises(anybind.BadInput, match=r"v\.safetensors"):
        anybind.load_embeddings(path)


def test_a_safetensors_file_without_embeddings_raises(tmp_path):
    from safetensors.numpy import save_file

    save_file({"image": AXES}, tmp_path / "w.safetensors", metadata={"image": json.dumps({"nothing": "known"})})
    with pytest.raises(anybind.BadInput, match=r"w\.safetensors: "):
        anybind.load_embeddings(tmp_path / "w.safetensors")


def test_a_missing_file_raises_with_its_path(tmp_path):
    with pytest.raises(anybind.BadInput, match="absent"):
        anybind.load_embeddings(tmp_path / "absent.safetensors")


def test_one_row_is_taken_by_its_number():
    assert embeddings()[1].ids == ("id1",)
    assert embeddings()[-1].ids == ("id2",)


def test_a_product_with_anything_else_is_a_type_error():
    with pytest.raises(TypeError):
        embeddings() @ AXES


def test_embeddings_are_concatenated_in_order():
    both = anybind.concatenate([embeddings()[1:], embeddings()[:1]])
    assert both.ids == ("id1", "id2", "id0")
    np.testing.assert_array_equal(both.vectors, AXES[[1, 2, 0]])


def test_embeddings_that_differ_are_not_concatenated():
    with pytest.raises(SpaceMismatch, match="cannot concatenate embeddings"):
        anybind.concatenate([embeddings(), embeddings(space=replace(SPACE, name="other"))])
    with pytest.raises(anybind.BadInput, match="different modalities or encoders"):
        anybind.concatenate([embeddings(), embeddings(modality="event")])
    with pytest.raises(anybind.BadInput, match="expected embeddings to concatenate"):
        anybind.concatenate([])


def test_saving_two_groups_of_one_modality_raises(tmp_path):
    with pytest.raises(anybind.BadInput, match="two groups are of one modality"):
        anybind.save_embeddings(tmp_path / "v.safetensors", [embeddings(), embeddings()[:1]])
    assert not list(tmp_path.iterdir())


def test_numpy_converts_embeddings_without_a_copy():
    result = embeddings()
    assert np.asarray(result) is result.vectors
    assert np.asarray(result, dtype=np.float64).dtype == np.float64
    assert np.array(result).flags.writeable


def test_a_conversion_without_a_copy_raises_if_it_needs_one():
    with pytest.raises(ValueError, match="copy"):
        embeddings().__array__(np.float64, copy=False)


def test_torch_converts_embeddings_to_a_copy():
    torch = pytest.importorskip("torch")
    result = embeddings()
    tensor = torch.as_tensor(result)
    tensor[0] = 0
    np.testing.assert_array_equal(result.vectors, AXES)


def test_a_notebook_shows_a_few_rows_with_escaped_ids():
    vectors = anybind.normalize(np.ones((20, 3)))
    result = anybind.Embeddings(vectors, SPACE, "text", tuple(f"<b>{i}" for i in range(20)))
    html = result._repr_html_()
    assert "&lt;b&gt;0" in html
    assert "<b>" not in html
    assert html.count("<tr>") < 12


def test_normalize_takes_lists_and_tensors_of_shape_n_d():
    torch = pytest.importorskip("torch")
    for vectors in ([[3, 4]], torch.tensor([[3.0, 4.0]])):
        np.testing.assert_allclose(anybind.normalize(vectors), [[0.6, 0.8]], rtol=1e-6)
    with pytest.raises(anybind.BadInput, match=r"expected vectors of shape \(n, d\), got \(2,\)"):
        anybind.normalize(np.array([3.0, 4.0]))


@pytest.mark.parametrize("vectors", [[["a", "b", "c"]], AXES[:1].astype(complex), [[1, None, 0]], [[1, 0, 0], [1]]])
def test_vectors_that_are_not_real_numbers_raise(vectors):
    with pytest.raises(anybind.BadInput, match="real numbers"):
        anybind.normalize(vectors)
    with pytest.raises(anybind.BadInput, match="real numbers"):
        anybind.Embeddings(vectors, SPACE, "image", ["a"])


def test_ids_become_strings_and_a_single_string_raises():
    assert anybind.Embeddings(AXES[:2], SPACE, "image", [Path("a/b.png"), 7]).ids == (str(Path("a/b.png")), "7")
    with pytest.raises(anybind.BadInput, match="ids: expected a sequence"):
        anybind.Embeddings(AXES[:2], SPACE, "image", "ab")
    with pytest.raises(anybind.BadInput, match="Space, got None"):
        anybind.Embeddings(AXES[:1], None, "image", ["a"])


@pytest.mark.parametrize("rows", [None, [[0, 1]]])
def test_an_index_of_two_dimensions_raises(rows):
    with pytest.raises(IndexError, match="expected an index"):
        embeddings()[rows]


def test_groups_are_given_as_a_generator_a_mapping_or_alone(tmp_path):
    path = tmp_path / "v.safetensors"
    for groups in (embeddings(), (each for each in [embeddings()]), {"image": embeddings()}):
        anybind.save_embeddings(path, groups)
        assert anybind.load_embeddings(path)["image"].ids == ("id0", "id1", "id2")
    anybind.save_embeddings(path, anybind.load_embeddings(path))
    assert len(anybind.concatenate(each for each in [embeddings(), embeddings()])) == 6


@pytest.mark.parametrize("groups", [[], {}, [AXES], {"text": embeddings()}])
def test_saving_no_embeddings_or_others_raises(tmp_path, groups):
    with pytest.raises(anybind.BadInput, match="embeddings"):
        anybind.save_embeddings(tmp_path / "v.safetensors", groups)
    assert not list(tmp_path.iterdir())


def test_only_embeddings_are_concatenated_and_fused():
    for function in (anybind.concatenate, anybind.Embeddings.fuse):
        with pytest.raises(anybind.BadInput, match="got ndarray"):
            function([embeddings(), AXES])
    assert len(anybind.Embeddings.fuse(each for each in [embeddings(), embeddings(modality="text")])) == 3


@pytest.mark.parametrize("level", range(pickle.HIGHEST_PROTOCOL + 1))
def test_copied_and_pickled_embeddings_are_read_only(level):
    one = embeddings()
    pickled = pickle.loads(pickle.dumps(one, level))  # noqa: S301 (its own bytes)
    for twin in (pickled, copy.copy(one), copy.deepcopy(one)):
        assert not twin.vectors.flags.writeable
        np.testing.assert_array_equal(twin @ one, np.eye(3))


def test_weights_of_any_real_type_fuse_and_those_beyond_floats_are_refused():
    rows = anybind.normalize(np.eye(3))
    group = anybind.Embeddings(rows, SPACE, "image", tuple("abc"))
    np.testing.assert_array_equal(anybind.Embeddings.fuse([group], {"image": Fraction(1, 2)}).vectors, group.vectors)
    with pytest.raises(BadOption, match="the weight of image: expected a finite number, got 1000"):
        anybind.Embeddings.fuse([group], {"image": 10**400})
