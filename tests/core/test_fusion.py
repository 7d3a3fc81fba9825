"""Joint embeddings: weighted means of the embeddings of several modalities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput, Binding, Embeddings, Space
from anybind.adapter import Adapter
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.errors import BadOption, SpaceMismatch, UnknownName
from anybind.modality import Modality
from anybind.spec import AdapterSpec, EncoderSpec, ModalitySpec

SPACE = Space("own", 3)


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, str)

    def check(self, sample):
        if not sample:
            raise BadInput("no letters")

    def show(self, sample):
        return sample


class Numbers(Letters):
    name = "numbers"


class Axis(Encoder):
    """Embeds a string by the axes that it names, and the other modality in a space of its own."""

    weights_hash = "0" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality, space="own"):
        self.modality, self.space = modality, Space(space, 3)
        self.n_encoded = 0

    def encode(self, inputs):
        self.n_encoded += len(inputs)
        return anybind.normalize(np.array([[sample.count(axis) for axis in "xyz"] for sample in inputs], float))


class Turn(Adapter):
    """Moves the axes round by one, from the space of numbers to the own space."""

    identity = "turned"
    source, target = Space("number space", 3), SPACE

    def map(self, vectors):
        return np.roll(vectors, 1, axis=1)


@pytest.fixture
def binder(registry, add_plugin):
    add_plugin(
        registry,
        ModalitySpec(name="letters", summary="s", target=f"{__name__}:Letters"),
        ModalitySpec(name="numbers", summary="s", target=f"{__name__}:Numbers"),
        EncoderSpec(name="axis", summary="s", target=f"{__name__}:Axis", modality="letters"),
        AdapterSpec(name="turn", summary="s", target=f"{__name__}:Turn"),
    )
    return make_binder([ConfiguredPart("turn", {})])


def make_binder(adapters):
    encoders = {
        "letters": ConfiguredPart("axis", {"modality": "letters"}),
        "numbers": ConfiguredPart("axis", {"modality": "numbers", "space": "number space"}),
    }
    return anybind.load(Binding("b", encoders, space="own", adapters=tuple(adapters)))


def test_a_joint_query_is_the_mean_of_its_adapted_embeddings(binder):
    joint = binder.embed([{"letters": "x", "numbers": "y"}, {"letters": "xy", "numbers": "z"}])
    parts = binder.embed("letters", ["x", "xy"]).vectors + binder.embed("numbers", ["y", "z"]).vectors
    np.testing.assert_allclose(joint.vectors, anybind.normalize(parts), atol=1e-6)
    np.testing.assert_allclose(joint.vectors[0], np.array([1, 0, 1]) / np.sqrt(2), atol=1e-6)  # y turned to z
    assert (joint.space, joint.modality) == (SPACE, "letters+numbers")
    assert joint.ids == ("x + y", "xy + z")
    assert joint.encoder == f"{binder.identity('letters')} + {binder.identity('numbers')}"


def test_weights_scale_modalities_and_are_part_of_the_encoder(binder):
    query = {"letters": "x", "numbers": "y"}
    joint = binder.embed(query, weights={"numbers": 3})
    np.testing.assert_allclose(joint.vectors[0], np.array([1, 0, 3]) / np.sqrt(10), atol=1e-6)
    assert joint.encoder == f"{binder.identity('letters')} + 3*{binder.identity('numbers')}"
    tiny = binder.embed(query, weights={"letters": 1e-9, "numbers": 3e-9})
    np.testing.assert_allclose(tiny.vectors, joint.vectors, atol=1e-6)
    away = binder.embed(query, weights={"numbers": -1})
    np.testing.assert_allclose(away.vectors[0], np.array([1, 0, -1]) / np.sqrt(2), atol=1e-6)
    with pytest.raises(BadInput, match=r"x \+ z: the embeddings cancel"):  # z turned to x
        binder.embed({"letters": "x", "numbers": "z"}, weights={"numbers": -1})


def test_queries_may_have_different_modalities_and_keep_their_order(binder):
    queries = [{"letters": "x"}, {"numbers": "y", "letters": "x"}, {"numbers": "y"}, {"letters": "y"}]
    joint = binder.embed(queries)
    expected = [[1, 0, 0], [0.5**0.5, 0, 0.5**0.5], [0, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(joint.vectors, expected, atol=1e-6)
    assert joint.ids == ("x", "y + x", "y", "y")
    assert binder.encoder("letters").n_encoded == 3


def test_an_invalid_item_drops_its_query_and_no_other(binder):
    queries = [{"letters": "x", "numbers": "y"}, {"letters": "", "numbers": "y"}, {"letters": "z", "numbers": "x"}]
    with pytest.raises(BadInput, match="no letters"):
        binder.embed(queries)
    errors = {}
    joint = binder.embed(queries, on_bad=lambda id, error: errors.update({id: str(error)}))
    assert joint.ids == ("x + y", "z + x")
    assert [*errors] == [""]
    assert not len(binder.embed(queries[1:2], on_bad=lambda id, error: None))


@pytest.mark.parametrize(
    ("queries", "options", "error", "message"),
    [
        ([], {}, BadInput, "expected joint queries, got none"),
        ([{"letters": "x"}, {}], {}, BadInput, "query 1 is empty"),
        (["x"], {}, BadInput, "query 0: expected a mapping from modalities to items, got 'x'"),
        ([{"letter": "x"}], {}, UnknownName, "no encoder for 'letter'.*letters"),
        ([{"letters": "x"}], {"weights": {"numbers": 1}}, BadOption, "no query has 'numbers'"),
        (
            [{"letters": "x"}],
            {"weights": {"letters": "1"}},
            BadOption,
            "the weight of letters: expected a finite number, got",
        ),
        ([{"letters": "x"}], {"weights": {"letters": float("nan")}}, BadOption, "expected a finite number"),
        ([{"letters": "x"}], {"weights": {"letters": 0}}, BadInput, "the embeddings cancel"),
        ([{"letters": "x"}], {"items": ["x"]}, BadOption, "a list of joint queries alone"),
        ("letters", {"items": ["x"], "weights": {"letters": 1}}, BadOption, "weights need joint queries"),
    ],
)
def test_invalid_queries_and_weights_are_named(binder, queries, options, error, message):
    with pytest.raises(error, match=message):
        binder.embed(queries, **options)
    assert not binder.encoder("letters").n_encoded or error is BadInput


def test_modalities_without_a_way_to_the_common_space_are_an_error(binder):
    with pytest.raises(SpaceMismatch, match="no adapter leads numbers"):
        make_binder([]).embed([{"letters": "x", "numbers": "y"}])
    other = Embeddings(np.eye(3)[:1], Space("other", 3), "numbers", ("n",))
    with pytest.raises(SpaceMismatch, match="fuse letters with numbers"):
        Embeddings.fuse([binder.embed("letters", "x"), other])
    with pytest.raises(BadInput, match=r"got \[1, 2\]"):
        Embeddings.fuse([binder.embed("letters", "x"), binder.embed("numbers", ["x", "y"])])


@settings(deadline=None)
@given(st.data())
def test_fused_rows_equal_those_of_float64(data):
    n, k = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 4))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    weights = {str(m): data.draw(st.floats(0.1, 5)) for m in range(k)}
    groups = []
    for m in range(k):
        rows = random.random((n, 3)) + 0.1
        ids = tuple(map(str, range(n)))
        groups.append(Embeddings(rows / np.linalg.norm(rows, axis=1, keepdims=True), SPACE, str(m), ids))
    fused = Embeddings.fuse(groups, weights)
    total = sum(weights[each.modality] * each.vectors.astype(np.float64) for each in groups)
    np.testing.assert_allclose(fused.vectors, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-6)
