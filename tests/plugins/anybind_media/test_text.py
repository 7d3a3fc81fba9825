"""Texts."""

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


@pytest.mark.parametrize("string", ["a rubber duck", "鸭子", "x"])
def test_string_is_a_text(text: Modality, string: str) -> None:
    assert text.accepts(string)
    assert infer_modality(string) == "text"
    text.check(string)


@pytest.mark.parametrize("item", [b"a duck", 7, None, ["a duck"], Path("a duck"), np.zeros(3)], ids=repr)
def test_other_objects_are_not_texts(text: Modality, item: object) -> None:
    assert not text.accepts(item)


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u3000"], ids=repr)
def test_blank_text_is_rejected(text: Modality, blank: str) -> None:
    with pytest.raises(BadInput, match="empty text"):
        text.check(blank)


def test_string_is_inferred_as_text(text: Modality) -> None:
    assert text.accepts("photo.jpg")
    assert not find_modality("image").accepts("photo.jpg")


def test_text_rendering_is_identity(text: Modality) -> None:
    assert text.show("  a rubber duck ") == "  a rubber duck "


def test_text_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot write text to .*duck\.txt"):
        anybind.write("a duck", tmp_path / "duck.txt")
    assert list(tmp_path.iterdir()) == []


def test_text_is_not_derived_from_image() -> None:
    with pytest.raises(BadInput, match="no text can be made from image"):
        anybind.derive("text", np.zeros((2, 2, 3), dtype=np.uint8))
