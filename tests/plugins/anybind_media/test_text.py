"""Words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.modality import Modality, find_modality, infer_modality


@pytest.fixture(scope="module")
def text() -> Modality:
    return find_modality("text")


@pytest.mark.parametrize("words", ["a rubber duck", "鸭子", "x"])
def test_a_string_is_a_text(text: Modality, words: str) -> None:
    assert text.accepts(words)
    assert infer_modality(words) == "text"
    text.check(words)


@pytest.mark.parametrize("item", [b"a duck", 7, None, ["a duck"], Path("a duck"), np.zeros(3)], ids=repr)
def test_what_is_no_string_is_no_text(text: Modality, item: object) -> None:
    assert not text.accepts(item)


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u3000"], ids=repr)
def test_a_blank_text_is_refused(text: Modality, blank: str) -> None:
    with pytest.raises(BadInput, match="text is empty"):
        text.check(blank)


def test_a_plain_string_is_taken_for_a_text_and_not_for_a_path(text: Modality) -> None:
    assert text.accepts("photo.jpg")
    assert not find_modality("image").accepts("photo.jpg")


def test_a_text_is_shown_as_it_is(text: Modality) -> None:
    assert text.show("  a rubber duck ") == "  a rubber duck "


def test_a_text_has_no_file_format_to_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot write text to .*duck\.txt"):
        anybind.write("a duck", tmp_path / "duck.txt")
    assert list(tmp_path.iterdir()) == []


def test_no_text_is_made_from_a_picture() -> None:
    with pytest.raises(BadInput, match="no text can be made from image"):
        anybind.derive("text", np.zeros((2, 2, 3), dtype=np.uint8))
