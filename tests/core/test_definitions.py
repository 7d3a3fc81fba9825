"""Definitions of class names, and prompts with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anybind import definitions, prompts
from anybind.build_definitions import build_tables, write_tables
from anybind.definitions import find_definitions
from anybind.errors import BadOption
from anybind.testing import make_random_binder

OKAPI = "similar to the giraffe but smaller with much shorter neck and stripe on the legs"


@pytest.mark.parametrize("name", ["okapi", "Okapi", "an okapi", "the okapis", " okapi "])
def test_case_article_and_plural_are_ignored(name):
    assert find_definitions(name) == (OKAPI,)


@pytest.mark.parametrize(("name", "same"), [("sea_horse", "sea horse"), ("cell phone", "cellphone")])
def test_spellings_of_a_compound_have_the_same_definitions(name, same):
    assert find_definitions(name) == find_definitions(same) != ()


@pytest.mark.parametrize("name", ["blue okapi", "yin yang", "happiness", "", "..."])
def test_other_words_have_none(name):
    assert find_definitions(name) == ()


def test_animals_and_artifacts_come_before_people_and_food():
    assert find_definitions("octopus")[0].startswith("bottom-living cephalopod")
    assert find_definitions("dalmatian")[0].startswith("a large breed")
    assert len(find_definitions("bass")) == 3


DATA = """  1 A licence
00000001 05 n 02 cat 0 true_cat 0 001 @ 00000009 n 0000 | feline mammal; "cats sleep"
00000002 18 n 01 cat 0 000 | a woman; informal
00000003 07 n 01 cattiness 0 000 | malice
"""
INDEX = """  1 A licence
cat n 2 1 @ 2 0 00000002 00000001
cattiness n 1 0 1 0 00000003
true_cat n 1 1 @ 1 0 00000001
"""


def test_the_table_has_visible_nouns_in_order_and_the_licence(tmp_path, monkeypatch):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    tables = build_tables(tmp_path)
    assert tables == {
        "LICENSE.txt": "A licence\n",
        "0063.tsv": "cat\tfeline mammal\ta woman; informal\n",
        "0074.tsv": "true cat\tfeline mammal\n",
    }
    path: Path = tmp_path / "definitions.zip"
    write_tables(tables, path)
    monkeypatch.setattr(definitions, "FILE", path)
    monkeypatch.setattr(definitions, "_read_lines", definitions._read_lines.__wrapped__)
    assert find_definitions("a cat") == ("feline mammal", "a woman; informal")
    assert find_definitions("True cats") == ("feline mammal",)
    assert find_definitions("dog") == find_definitions("cattle") == find_definitions("\u00e9clair") == ()
    assert find_definitions("zebra") == find_definitions("") == ()


def test_a_prompt_has_each_definition_and_ends_before_a_missing_one():
    template = "a photo of a {}, {definition}"
    assert prompts.format_prompts(template, "okapi") == [f"a photo of a okapi, {OKAPI}"]
    assert len(prompts.format_prompts(template, "bass")) == 3
    assert prompts.format_prompts(template, "blue okapi") == ["a photo of a blue okapi"]
    assert prompts.format_prompts("a {} ({definition}).", "blue okapi") == ["a blue okapi."]


def test_a_class_embedding_is_the_mean_over_templates_of_the_means_over_definitions():
    binder = make_random_binder()
    templates = ("a {}", "a {}, {definition}")
    classes = prompts.embed_class_names(binder, "text", ["bass", "blue okapi"], templates)

    def embed(texts):
        mean = binder.embed("text", texts).vectors.astype(np.float64).mean(0)
        return mean / np.linalg.norm(mean)

    expected = embed(["a bass"]) + embed([f"a bass, {text}" for text in find_definitions("bass")])
    np.testing.assert_allclose(classes.vectors[0], expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(classes.vectors[1], embed(["a blue okapi"]), atol=1e-6)


def test_templates_are_those_given_or_of_the_text_encoder_or_the_default():
    binder = make_random_binder()
    assert prompts.choose_templates(binder, "text", None) == prompts.DEFAULT_TEMPLATES
    binder.encoder("text").prompt_templates = ("{}!",)
    assert prompts.choose_templates(binder, "text", None) == ("{}!",)
    assert prompts.choose_templates(binder, "text", ["a {}"]) == ("a {}",)
    with pytest.raises(BadOption, match=r"needs \{\} where"):
        prompts.choose_templates(binder, "text", ["a photo"])
