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
def encoder(models: Path) -> LanguageBindTextEncoder:
    return LanguageBindTextEncoder(f"local-dir:{models / 'LanguageBind_Image'}")


def test_tokens_equal_transformers(models, encoder):
    folder = models / "LanguageBind_Image"
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    for text in TEXTS:
        assert encoder.preprocess(text) == tokenizer(text)["input_ids"]


def test_text_embeddings_equal_transformers(models, encoder, read_checkpoint, build_reference_clip):
    config, state = read_checkpoint(models / "LanguageBind_Image")
    clip = build_reference_clip(config)
    clip.load_state_dict(state)
    tokens = [encoder.preprocess(text) for text in TEXTS]
    padded = torch.tensor([[*each, *[encoder.end] * (16 - len(each))] for each in tokens])
    with torch.inference_mode():
        expected = functional.normalize(clip.text_projection(clip.text_model(input_ids=padded).pooler_output)).numpy()
    np.testing.assert_allclose(encoder.encode(tokens), expected, atol=1e-6)


def test_embeddings_do_not_depend_on_the_batch(encoder):
    tokens = [encoder.preprocess(text) for text in TEXTS]
    single = np.concatenate([encoder.encode([each]) for each in tokens])
    np.testing.assert_allclose(encoder.encode(tokens), single, atol=1e-5)


def test_all_checkpoints_have_the_same_text_tower(models, encoder):
    other = LanguageBindTextEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")
    assert other.identity == encoder.identity
    assert other.space == encoder.space


def test_a_long_text_is_truncated_with_a_warning(encoder):
    text = "the " * 14 + "zebra"
    with pytest.warns(
        AnybindWarning, match=r"truncated to 16 tokens: kept up to .*the', dropped ' zebra'|dropped 'zebra'"
    ):
        tokens = encoder.preprocess(text)
    assert len(tokens) == 16
    assert tokens[-1] == encoder.end
    assert tokens[:-1] == encoder.preprocess("the " * 14)[:-1]


def test_a_text_of_the_maximum_length_is_not_truncated(encoder):
    assert len(encoder.preprocess("the " * 14)) == 16


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_missing_tokenizer_files_are_an_error(tmp_path, make_checkpoint, file):
    folder = make_checkpoint(tmp_path, "image")
    (folder / file).unlink()
    with pytest.raises(BadInput, match=f"holds no {file}"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_a_corrupt_tokenizer_is_an_error(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    (folder / "vocab.json").write_text('{"a": ')
    with pytest.raises(BadInput, match="not a valid tokenizer"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_a_vocabulary_larger_than_the_embedding_table_is_an_error(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "more": len(vocabulary)}))
    with pytest.raises(BadInput, match="at most 518 tokens, got 519"):
        LanguageBindTextEncoder(f"local-dir:{folder}")


def test_an_incomplete_configuration_is_an_error(tmp_path, make_checkpoint):
    folder = make_checkpoint(tmp_path, "image")
    config = json.loads((folder / "config.json").read_text())
    del config["text_config"]["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="text_config has no max_position_embeddings"):
        LanguageBindTextEncoder(f"local-dir:{folder}")
