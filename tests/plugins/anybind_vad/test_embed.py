"""Windows to what heads are told of them."""

from __future__ import annotations

import numpy as np
import pytest

from anybind import BadInput
from anybind.errors import UnknownName
from anybind.head import HeadInput
from anybind_vad.embed import embed_windows, grouped, one_ahead
from anybind_vad.windows import FilmPass


class Still:
    """Moves in the windows of four frames that are named."""

    def __init__(self, count, moving):
        self.count, self.moving = count, moving

    def frames(self, *, gray, look=None):
        random = np.random.default_rng(0)
        frame = np.zeros((6, 8), np.uint8)
        for number in range(self.count):
            if number % 4 and number // 4 in self.moving:
                frame = random.integers(0, 256, (6, 8), dtype=np.uint8)
            if look is not None:
                look(number, lambda number=number: np.full((6, 8, 3), 1 + number, np.uint8))
            yield 1000 * number, frame


@pytest.fixture
def windows():
    return list(FilmPass(Still(20, moving=(1, 3)), frames=4))


def test_windows_without_events_have_no_row(toy, windows):
    found = embed_windows(toy, windows, ("event", "image"), making="by hand")
    assert len(found) == 5
    assert found.rows["event"].tolist() == [1, 3]
    assert found.rows["image"].tolist() == [0, 1, 2, 3, 4]
    assert len(found.embeddings["event"]) == 2
    assert found.measures["events"].tolist() == [float(len(each.sample)) for each in windows]
    assert found.embeddings["event"].encoder == toy.identity("event") + "/by hand"
    assert found.embeddings["image"].encoder == toy.identity("image")


def test_only_what_is_needed_is_embedded(toy, windows):
    assert embed_windows(toy, windows, (), making="").embeddings == {}
    embed_windows(toy, windows, ("image",), making="")
    assert (toy.encoder("event").embedded, toy.encoder("image").embedded) == (0, 5)


def test_windows_in_which_nothing_moves_make_a_set_without_rows(toy):
    found = embed_windows(toy, list(FilmPass(Still(8, moving=()), frames=4)), ("event",), making="")
    assert (len(found), len(found.embeddings["event"])) == (2, 0)


def test_no_windows_make_an_empty_set(toy):
    assert len(embed_windows(toy, [], ("event",), making="")) == 0


def test_what_windows_cannot_be_embedded_as_is_refused(toy, windows):
    with pytest.raises(UnknownName, match="event or image, not as sound"):
        embed_windows(toy, windows, ("sound",), making="")


def test_groups_are_of_one_size_and_come_before_what_the_film_raises():
    def torn():
        yield from range(7)
        raise BadInput("torn")

    groups, items = [], grouped(torn(), 3)
    with pytest.raises(BadInput, match="torn"):
        for group in items:
            groups.append(group)
    assert groups == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(grouped(iter(range(4)), 2)) == [[0, 1], [2, 3]]


def test_items_are_made_one_ahead_and_no_further():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    for number in one_ahead(items()):
        assert len(made) <= number + 3
    assert made == list(range(10))


def test_vectors_are_those_that_the_binder_gives(toy, windows):
    found = embed_windows(toy, windows, ("event",), making="")
    whole = toy.embed("event", [each.sample for each in windows if len(each.sample)])
    assert isinstance(found, HeadInput)
    assert np.array_equal(found.embeddings["event"].vectors, whole.vectors)
