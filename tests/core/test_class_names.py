"""Class names of folders, and lists of names."""

from __future__ import annotations

import json

import pytest

import anybind
from anybind.errors import BadOption
from anybind.prompts import check_labels, format_class_name
from anybind.tables import parse_names


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("yin_yang", "yin yang"),
        ("001 - Dog bark", "dog bark"),
        ("Leopards", "leopards"),
        ("2 - a_B", "a b"),
        ("12", "12"),
        ("3-d_glasses", "3-d glasses"),
    ],
)
def test_a_folder_name_becomes_a_class_name(folder, name):
    assert format_class_name(folder) == name


def test_names_are_given_by_commas_or_in_files(tmp_path):
    (tmp_path / "n.txt").write_text("a duck\n\n kettle \n")
    (tmp_path / "n.json").write_text(json.dumps(["a", "b, c"]))
    (tmp_path / "s.json").write_text(json.dumps({"seen": ["x"], "unseen": ["y", "z"], "note": "n"}))
    assert parse_names(" a duck, kettle ,") == ["a duck", "kettle"]
    assert parse_names(str(tmp_path / "n.txt")) == ["a duck", "kettle"]
    assert parse_names(str(tmp_path / "n.json")) == ["a", "b, c"]
    assert parse_names(f"{tmp_path / 's.json'}:unseen") == ["y", "z"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("absent.txt", "absent.txt: No such file"),
        ("s.json", "say which list, as .*s.json:seen"),
        ("s.json:unsen", "holds no list 'unsen'"),
        ("s.json:note", "holds no list of names"),
        ("broken.json", "broken.json holds no list"),
    ],
)
def test_a_file_without_names_raises_with_its_path(tmp_path, given, message):
    (tmp_path / "s.json").write_text(json.dumps({"seen": ["x"], "note": "n"}))
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(anybind.BadInput, match=message):
        parse_names(str(tmp_path / given))


@pytest.mark.parametrize("given", ["", " , ,"])
def test_an_empty_list_of_names_raises(given):
    with pytest.raises(BadOption, match="holds no names"):
        parse_names(given)


@pytest.mark.parametrize(
    ("labels", "message"), [(["a", "b", "A"], "given twice: a"), (["a"], "at least two"), ([], "none")]
)
def test_labels_must_be_two_or_more_and_differ(labels, message):
    with pytest.raises(BadOption, match=message):
        check_labels(labels)


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    (tmp_path / "n.txt").write_bytes(b"\xef\xbb\xbfcat\ndog\n")
    assert parse_names(str(tmp_path / "n.txt")) == ["cat", "dog"]


def test_a_file_in_another_encoding_raises(tmp_path):
    (tmp_path / "n.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(anybind.BadInput, match=r"n\.txt is not UTF-8 text"):
        parse_names(str(tmp_path / "n.txt"))
