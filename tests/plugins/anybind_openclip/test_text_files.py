"""Text models and tokenizers of transformers: from the cache or a folder, without network access or code."""

from __future__ import annotations

import copy
import json
import socket
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from transformers import RobertaConfig

from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind_openclip.encoders import load_image_encoder, load_text_encoder
from anybind_openclip.export_inputs import convert_tokenizer
from helpers.hub import write_cache

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "duck"]
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [
        {"id": n, "content": word, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False} for n, word in enumerate(WORDS[:5])
    ],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(WORDS)}, "unk_token": "<unk>"},
}  # fmt: skip
SETTINGS = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
SMALL = RobertaConfig(
    vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
    max_position_embeddings=20,
)  # fmt: skip
REPOSITORY = "org/roberta"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a model with a text model of transformers, whose repository is in the cache; refuse connections."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("unexpected network access")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    write_cache(tmp_path / "cache", REPOSITORY, {"config.json": json.dumps(SMALL.to_dict()).encode()})
    config: dict[str, Any] = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 64, "head_width": 32, "patch_size": 4},
        "text_cfg": {"hf_model_name": REPOSITORY, "hf_tokenizer_name": REPOSITORY, "context_length": 8},
    }
    built = copy.deepcopy(config)
    built["text_cfg"] |= {
        "hf_model_name": str(tmp_path / "cache" / "models--org--roberta" / "snapshots" / ("5e" * 20)),
        "hf_model_pretrained": False,
    }
    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**built)
    save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    write_config(folder, config)
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS))
    return folder


def write_config(folder: Path, config: dict[str, Any]) -> None:
    settings = {"mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": settings}))


def change_config(folder: Path, section: str, **values: Any) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    config[section] |= values
    write_config(folder, config)


def test_a_text_model_of_the_cache_needs_no_connection(folder: Path) -> None:
    encoder = load_text_encoder(f"local-dir:{folder}")
    first, second = (encoder.encode([encoder.preprocess(text)]) for text in ("a duck", "a"))
    assert first.shape == (1, 8)
    assert not np.allclose(first, second)
    assert encoder.space == load_image_encoder(f"local-dir:{folder}").space


@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json"])
def test_a_tokenizer_that_names_code_is_refused(folder: Path, file: str, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: pass\n")
    named = {"auto_map": {"AutoTokenizer": ["evil.Evil", None], "AutoConfig": "evil.Evil"}, "model_type": "evil"}
    (folder / file).write_text(json.dumps(SETTINGS | named))
    with pytest.raises(BadInput, match=rf"{file}: .* names code; none is executed"):
        load_text_encoder(f"local-dir:{folder}")
    assert not trace.exists()


def test_a_text_model_that_names_code_is_refused(folder: Path) -> None:
    (path,) = folder.parent.glob("cache/models--org--roberta/snapshots/*/config.json")
    path.write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Evil"}, "model_type": "evil"}))
    with pytest.raises(BadInput, match="names code; none is executed"):
        load_text_encoder(f"local-dir:{folder}")


@pytest.mark.parametrize("option", ["trust_remote_code", "code_revision", "cache_dir", "subfolder"])
def test_a_configuration_cannot_allow_a_tokenizer_to_run_code(folder: Path, option: str) -> None:
    change_config(folder, "text_cfg", tokenizer_kwargs={option: True})
    with pytest.raises(BadInput, match=f"tokenizer_kwargs: expected .*, got {option}"):
        load_text_encoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("vision_cfg", {"timm_model_name": "hf-hub:org/evil"}, "timm_model_name: expected a model of timm"),
        ("vision_cfg", {"timm_model_name": ["a"]}, "timm_model_name: expected a model of timm"),
        ("vision_cfg", {"layers": 10**9}, "vision_cfg.layers: expected numbers up to 256"),
        ("vision_cfg", {"layers": [3, 10**9]}, "vision_cfg.layers: expected numbers up to 256"),
        ("vision_cfg", {"width": 10**12}, "vision_cfg.width: expected numbers up to 1000000"),
        ("text_cfg", {"vocab_size": float("nan")}, "text_cfg.vocab_size: expected numbers up to 1000000"),
        ("vision_cfg", {"width": 900_000, "head_width": 1000}, "weight file of another model"),
    ],
)
def test_a_configuration_of_impossible_sizes_takes_no_memory(
    folder: Path, section: str, values: dict[str, Any], expected: str
) -> None:
    change_config(folder, section, **values)
    with pytest.raises(Exception, match=expected):
        load_image_encoder(f"local-dir:{folder}")


def test_a_text_model_outside_the_hub_is_refused(folder: Path) -> None:
    change_config(folder, "text_cfg", hf_model_name="../../evil")
    with pytest.raises(BadOption, match="is not the name of a repository"):
        load_text_encoder(f"local-dir:{folder}")


def test_the_tokenizer_of_an_exported_encoder_gives_the_same_tokens(folder: Path) -> None:
    encoder = load_text_encoder(f"local-dir:{folder}")
    converted = convert_tokenizer(encoder.tokenizer)
    texts = ["a duck", " a  duck &amp; a", "duck", "a " * 20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)  # of truncated texts
        tokens = converted.collate([converted.preprocess(text) for text in texts])["tokens"]
    np.testing.assert_array_equal(tokens, encoder.tokenizer(texts).numpy())
