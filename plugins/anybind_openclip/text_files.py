"""Text models and tokenizers of transformers that open_clip's configurations name.

open_clip would let transformers fetch them, and run code that their repositories hold. Here they come from the hub's
cache or a verified download, and whatever asks for code is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

from anybind.plugin import BadInput, hub, tables
from anybind_openclip.model_files import OpenClipFiles

CONFIG = "config.json"
TOKENIZERS = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.txt", "vocab.json")
"""Files of which one is enough for a tokenizer."""
SETTINGS = (CONFIG, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
TOKENIZER_OPTIONS = ("clean", "strip_sep_token", "language", "use_fast", "additional_special_tokens")
"""Options that a configuration may pass to a tokenizer; others could make transformers run code."""


def find_text_model(name: str) -> Path:
    """Return a folder with the configuration of a text model by its repository, such as `roberta-base`.

    Raises:
        BadInput: it cannot be downloaded, or asks for code.
        BadOption: the name is not that of a repository.
    """
    folder = hub.download_snapshot(name, [[CONFIG]], lambda folder: (folder / CONFIG).is_file())
    _check_no_code(folder)
    return folder


def create_tokenizer(model_files: OpenClipFiles) -> Callable[..., torch.Tensor]:
    """Create the tokenizer of a model.

    Raises:
        BadInput: its files are missing, damaged or cannot be downloaded, or ask for code.
    """
    text: Mapping[str, Any] = model_files.config["text_cfg"]
    options = text.get("tokenizer_kwargs") or {}
    unknown = sorted(set(options) - set(TOKENIZER_OPTIONS))
    if unknown:
        raise BadInput(
            f"{model_files.name}: tokenizer_kwargs: expected {', '.join(TOKENIZER_OPTIONS)}, got {', '.join(unknown)}"
        )
    name = text.get("hf_tokenizer_name")
    try:
        if not name:
            return open_clip.get_tokenizer(model_files.tokenizer)
        folder = _find_tokenizer(model_files, str(name))
        length, mode = text.get("context_length", DEFAULT_CONTEXT_LENGTH), text.get("tokenizer_mode")
        return HFTokenizer(str(folder), context_length=length, tokenizer_mode=mode, **options)
    except (OSError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput(f"{model_files.name}: not a valid tokenizer: {' '.join(str(error).split())[:200]}") from error


def _find_tokenizer(model_files: OpenClipFiles, name: str) -> Path:
    if model_files.tokenizer.startswith("local-dir:"):
        folder = Path(model_files.tokenizer.removeprefix("local-dir:"))
    else:
        patterns = [(*TOKENIZERS, *SETTINGS)]
        folder = hub.download_snapshot(
            name, patterns, lambda folder: hub.find_first_file(folder, TOKENIZERS) is not None
        )
    _check_no_code(folder)
    return folder


def _check_no_code(folder: Path) -> None:
    """Raise `BadInput` if a configuration names classes of its own repository, which transformers would import."""
    for path in (folder / name for name in SETTINGS[:2]):
        config = tables.read_json(path) if path.is_file() else {}
        if not isinstance(config, Mapping):
            raise BadInput(f"{path}: expected a JSON object, got {type(config).__name__}")
        if "auto_map" in config:
            raise BadInput(f"{path}: expected settings alone, got auto_map, which names code; none is executed")
