"""The language lint: a planted phrase is found in every place where people read, and nothing else is."""

import pytest

import lint_language

CLEAN = '''"""Read event recordings."""


def read_header(path):
    """Return the fields of a header."""
    # Bytes beyond the header belong to the first packet.
    raise ValueError(f"{path}: expected a header, got {len(path)} bytes")
'''
PLANTED = {
    "a module's docstring": ("Read event recordings.", "Read films of events.", "films"),
    "a function's docstring": ("Return the fields", "It tells what the fields are, not the fields", "tells what"),
    "a comment": ("# Bytes", "# What the run left behind: bytes", "left behind"),
    "an error": ("expected a header", "this is no header", "is no header"),
    "a help text": ("def read_header(path)", 'def read_header(path=Option(help="Where towers run."))', "towers"),
    "a function's name": ("read_header", "told", "told"),
    "a parameter's name": ("read_header(path)", "read_header(path, film_path)", "film"),
    "a class's name": ("def read_header(path)", "class FilmReader:\n    pass\n\n\ndef read_header(path)", "film"),
    "a variable's name": ("    # Bytes", "    held = path\n    # Bytes", "held"),
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_phrase_is_found(tmp_path, place):
    before, after, word = PLANTED[place]
    path = tmp_path / "reader.py"
    path.write_text(CLEAN)
    assert list(lint_language.check_module(path)) == []
    assert before in CLEAN
    planted = CLEAN.replace(before, after, 1)
    path.write_text(planted)
    complaints = list(lint_language.check_module(path))
    line = next(at for at, text in enumerate(planted.splitlines(), 1) if word in text.lower())
    assert {each.split(":")[0] for each in complaints} == {str(line)}
    assert word in complaints[0].lower()


def test_a_phrase_in_a_page_is_found_and_code_is_not_prose(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Images\n\n`film.mp4` is a video.\n\n```python\npicture = 1  # a picture\n```\n")
    assert list(lint_language.check_page(path)) == []
    path.write_text(path.read_text() + "\nIt draws a picture.\n")
    assert list(lint_language.check_page(path)) == ["9: 'picture': use image"]


def test_a_class_name_that_stands_twice_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(lint_language, "ROOT", tmp_path)
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text("class Frame:\n    pass\n")
    complaints = list(lint_language.check_class_names(sorted(tmp_path.iterdir())))
    assert complaints == ["one.py:1: the class name 'Frame' stands twice: other.py:1"]


def test_the_allow_list_is_short_and_gives_reasons():
    assert len(lint_language.ALLOWED) <= 20
    assert all(reason.strip() for reason in lint_language.ALLOWED.values())
