"""Python code and commands of the pages run."""

from __future__ import annotations

import re

import pytest
from doc_blocks import PAGES, ROOT, Block, blocks_of
from doc_files import make_models
from doc_runner import Page, check_line, shell_lines

from anybind import Binding
from anybind_bench import find_suite
from anybind_train.recipe import Recipe


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(path, page_folder):
    if path.stem == "use-with-sentence-transformers":  # other pages need no torch
        make_models(page_folder)
    page = Page(page_folder)
    for block in blocks_of(path):
        try:
            page.run(block)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{block}: {type(error).__name__}: {error}") from error


def block(text: str, language: str = "sh", **about: str) -> Block:
    title, not_run, is_output = about.get("title", ""), about.get("not_run", ""), "is_output" in about
    return Block(ROOT / "README.md", 1, language, title, not_run, is_output, text)


def test_blocks_are_found_with_their_line_language_file_and_reason():
    text = '# A\n\n```toml title="a.toml"\nx = 1\n```\n\n<!-- not run: needs\ntwo machines -->\n```sh\nls\n```\n\n```\nx\n```\n'
    blocks = blocks_of(ROOT / "README.md", text)
    assert [(one.line, one.language, one.title, one.not_run) for one in blocks] == [
        (3, "toml", "a.toml", ""),
        (9, "sh", "", "needs\ntwo machines"),
        (13, "", "", ""),
    ]


def test_a_block_without_a_language_is_refused(page_folder):
    with pytest.raises(AssertionError, match="language"):
        Page(page_folder).run(block("anybind plugins", language=""))


def test_blocks_of_a_page_share_their_names(page_folder):
    page = Page(page_folder)
    page.run(block("x = 1", "python"))
    page.run(block("assert x == 1", "python"))
    with pytest.raises(NameError):
        Page(page_folder / "machines").run(block("x", "python"))


def test_an_output_block_must_equal_what_the_block_before_prints(page_folder):
    page = Page(page_folder)
    page.run(block("print('a\\nb')", "python"))
    page.run(block("a\nb\n", "text", is_output="yes"))
    with pytest.raises(AssertionError, match="prints"):
        page.run(block("a\nc\n", "text", is_output="yes"))


def test_a_command_that_fails_fails_the_page(page_folder):
    with pytest.raises(AssertionError, match="no-such-file"):
        Page(page_folder).run(block("anybind info no-such-file.h5"))


@pytest.mark.parametrize(
    "line",
    ["anybind search", "anybind search a --in b --no-such-option", "anybind no-such-command", "make no-such-target"],
)
def test_an_invalid_command_that_is_not_run_is_an_error(line):
    with pytest.raises(AssertionError, match=r"README\.md"):
        check_line(line, block(line, not_run="needs a GPU"))


def test_a_valid_command_that_is_not_run_passes(page_folder):
    Page(page_folder).run(block("anybind search a --in b --device cuda", not_run="needs a GPU"))


def test_python_that_is_not_run_must_parse(page_folder):
    Page(page_folder).run(block("undefined()", "python", not_run="needs weights"))
    with pytest.raises(SyntaxError):
        Page(page_folder / "machines").run(block("if", "python", not_run="needs weights"))


def test_a_backslash_joins_lines_of_a_shell_block():
    assert shell_lines("# comment\na b \\\n    c\n\nd\n") == ["a b c", "d"]


def test_bindings_recipes_and_suites_of_the_pages_are_valid(tmp_path):
    validators = {
        "[encoders.": Binding.from_toml,
        "[optimiser]": lambda path: Recipe.from_toml(path, []),
        "[[evaluations]]": find_suite,
    }
    counts = dict.fromkeys(validators, 0)
    for block in (block for page in PAGES for block in blocks_of(page) if block.language == "toml"):
        path = tmp_path / "block.toml"
        path.write_text(block.text, encoding="utf-8")
        for key, validate in validators.items():
            if key in block.text and re.search(r"^name = ", block.text, re.MULTILINE):
                validate(path)
                counts[key] += 1
    assert all(counts.values())
