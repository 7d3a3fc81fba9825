"""Writers of one index at the same time keep each other's entries, or refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import errors
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_retrieval.indexing import _open_writer, open_index

ENCODER = IndexedEncoder("image", "e")
CARD = IndexCard("b", anybind.Space("s", 4), {"image": ENCODER})
SUFFIXES = ["safetensors", "lance"]


def make_entry(name: str, size: int = 1) -> IndexEntry:
    return IndexEntry(f"/{name}.png", size, 1)


def add(writer, *names: str, modality: str = "image") -> None:
    writer.add(modality, [make_entry(name) for name in names], anybind.normalize(np.ones((len(names), 4))))


def list_names(location: str, modality: str = "image") -> list[str]:
    return sorted(Path(entry.path).stem for entry in open_index(location).list_entries(modality))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writers_that_began_without_an_index_keep_each_others_entries(tmp_path, suffix):
    location = str(tmp_path / f"i.{suffix}")
    writers = [_open_writer(location, CARD, None, rebuild=False) for _ in range(4)]
    for number, writer in enumerate(writers):
        add(writer, f"a{number}", f"b{number}")
    for writer in writers:
        writer.finish(CARD)
    assert list_names(location) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writers_of_different_modalities_keep_each_others_entries(tmp_path, suffix):
    location = str(tmp_path / f"i.{suffix}")
    sound_card = replace(CARD, encoders={"sound": IndexedEncoder("sound", "s")})
    images, sounds = (_open_writer(location, card, None, rebuild=False) for card in (CARD, sound_card))
    add(images, "image")
    add(sounds, "sound", modality="sound")
    images.finish(CARD)
    sounds.finish(sound_card)
    assert list_names(location) == ["image"]
    assert list_names(location, "sound") == ["sound"]
    assert sorted(open_index(location).card.encoders) == ["image", "sound"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_writer_removes_only_its_own_entries(tmp_path, suffix):
    location = str(tmp_path / f"i.{suffix}")
    first = _open_writer(location, CARD, None, rebuild=False)
    add(first, "a", "b")
    first.finish(CARD)
    one, other = (_open_writer(location, CARD, open_index(location), rebuild=False) for _ in range(2))
    one.drop("image", {make_entry("a").key})
    add(other, "c")
    other.finish(CARD)
    one.finish(CARD)
    assert list_names(location) == ["b", "c"]


def test_a_rebuilt_index_keeps_the_entries_that_another_writer_added_meanwhile(tmp_path):
    location = str(tmp_path / "i.safetensors")
    first = _open_writer(location, CARD, None, rebuild=False)
    add(first, "old")
    first.finish(CARD)
    rebuilt = _open_writer(location, CARD, None, rebuild=True)
    other = _open_writer(location, CARD, open_index(location), rebuild=False)
    add(other, "meanwhile")
    other.finish(CARD)
    add(rebuilt, "new")
    rebuilt.finish(CARD)
    assert list_names(location) == ["meanwhile", "new"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_writer_with_another_encoder_refuses_what_was_written_meanwhile(tmp_path, suffix):
    location = str(tmp_path / f"i.{suffix}")
    first = _open_writer(location, CARD, None, rebuild=False)
    other_card = replace(CARD, encoders={"image": IndexedEncoder("image", "another")})
    add(first, "a")
    if suffix == "lance":
        with pytest.raises(errors.WeightsMismatch, match="rebuild it"):
            _open_writer(location, other_card, None, rebuild=False)
        first.finish(CARD)
    else:
        other = _open_writer(location, other_card, None, rebuild=False)
        add(other, "b")
        first.finish(CARD)
        with pytest.raises(errors.WeightsMismatch, match="rebuild it"):
            other.finish(other_card)
    assert list_names(location) == ["a"]
