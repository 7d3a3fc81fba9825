from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import CLIPTokenizer

from anybind import AnybindWarning, BadInput
from anybind_languagebind.text_encoder import LanguageBindTextEncoder

TEXTS = ["the and", "a DOG", "it's 1 o'clock!", "Zürich", "x"]


@pytest.fixture(scope="module")
def tower(models: Path) -> LanguageBindTextEncoder:
    return LanguageBindTextEncoder(f"local-dir:{models / 'LanguageBind_Image'}")


def test_words_are_tokenised_as_transformers_does(models, tower):
    folder = models / "LanguageBind_Image"
    theirs = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    for text in TEXTS:
        assert tower.preprocess(text) == theirs(text)["input_ids"]


def test_a_text_tower_gives_what_transformers_gives(models, tower, described, reference_clip):
    config, state = described(models / "LanguageBind_Image")
    clip = reference_clip(config)
    clip.load_state_dict(state)
    tokens = [tower.preprocess(text) for text in TEXTS]
    filled = torch.tensor([[*each, *[tower.end] * (16 - len(each))] for each in tokens])
    with torch.inference_mode():
        theirs = functional.normalize(clip.get_text_features(input_ids=filled)).numpy()
    np.testing.assert_allclose(tower.encode(tokens), theirs, atol=1e-6)


def test_vectors_do_not_depend_on_the_batch(tower):
    tokens = [tower.preprocess(text) for text in TEXTS]
    alone = np.concatenate([tower.encode([each]) for each in tokens])
    np.testing.assert_allclose(tower.encode(tokens), alone, atol=1e-5)


def test_every_checkpoint_carries_the_same_words(models, tower):
    other = LanguageBindTextEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")
    assert other.identity == tower.identity
    assert other.space == tower.space


def test_a_text_that_is_too_long_is_cut_with_a_warning(tower):
    text = "the " * 14 + "zebra"
    with pytest.warns(AnybindWarning, match=r"cut to 16 tokens: kept up to .*the', dropped ' zebra'|dropped 'zebra'"):
        tokens = tower.preprocess(text)
    assert len(tokens) == 16
    assert tokens[-1] == tower.end
    assert tokens[:-1] == tower.preprocess("the " * 14)[:-1]


def test_a_text_that_just_fits_is_not_cut(tower):
    assert len(tower.preprocess("the " * 14)) == 16


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_missing_files_of_the_tokenizer_are_told(tmp_path, make_checkpoint, file):
    folder = make_checkpoint(tmp_path, "image")
    (folder / file).unlink()
    with pytest.raises(BadInput, match=f"holds no {file}"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_a_damaged_tokenizer_is_told(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "vocab.json").write_text('{"a": ')
    with pytest.raises(BadInput, match="make no tokenizer"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_a_tokenizer_of_more_words_than_have_weights_is_refused(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "more": len(vocabulary)}))
    with pytest.raises(BadInput, match="is not of this model: 519 tokens, of which 518 have weights"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_a_configuration_without_a_key_is_refused(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    config = json.loads((folder / "config.json").read_text())
    del config["text_config"]["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="text_config lacks max_position_embeddings"):
        LanguageBindTextEncoder(f"local-dir:{folder}")
