"""The preprocessing of open_clip's encoders without open_clip and torch; exported encoders have it too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anybind.plugin import errors, export, readers

CLEANINGS = {"_clean_whitespace": "whitespace", "_clean_lower": "lower", "_clean_canonicalize": "canonicalize"}
"""Cleaning of texts by the name of open_clip's function."""


class OpenClipImageInput(export.EncoderInput):
    """The preprocessing of square images."""

    def __init__(self, *, folder: Path | None = None, **settings: Any) -> None:
        self.image = export.ImageInput(**settings)
        self.reader_options = {"min_side": readers.REDUCING_GAP * self.image.side}

    def preprocess(self, sample: np.ndarray) -> np.ndarray:
        """Map (height, width, 3) uint8 to (3, side, side) float32."""
        return self.image(sample)


def read_image_options(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `OpenClipImageInput` of open_clip's settings; none if it has not that preprocessing."""
    size, fill = preprocess["size"], preprocess.get("fill_color", 0)
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1 or not isinstance(fill, int) or preprocess.get("mode", "RGB") != "RGB":
        return {}
    return {
        "side": int(sides.pop()),
        "mode": preprocess["resize_mode"],
        "interpolation": "bilinear" if preprocess["interpolation"] == "bilinear" else "bicubic",
        "mean": list(preprocess["mean"]),
        "std": list(preprocess["std"]),
        "fill": fill,
    }


def convert_tokenizer(tokenizer: Any) -> export.TextInput:
    """Convert a tokenizer of open_clip to one without torch, with the same tokens.

    Raises:
        UnsupportedBackend: it has no counterpart: a reduction of long texts, a mode, or no fast tokenizer.
    """
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    clean: Any = CLEANINGS.get(getattr(tokenizer.clean_fn, "__name__", ""), "")
    if isinstance(tokenizer, SimpleTokenizer) and clean and tokenizer.reduction_fn is None:
        return export.TextInput.from_clip(tokenizer, clean=clean)
    inner = getattr(tokenizer, "tokenizer", None)
    if isinstance(tokenizer, HFTokenizer) and clean and not tokenizer.tokenizer_mode:
        backend, side = getattr(inner, "backend_tokenizer", None), getattr(inner, "padding_side", "")
        context = tokenizer.context_length
        if backend is not None and side == "right" and context is not None:
            zero = inner.sep_token_id if tokenizer.strip_sep_token else None  # pyright: ignore[reportOptionalMemberAccess]
            padding: int = inner.pad_token_id  # pyright: ignore[reportOptionalMemberAccess]
            return export.TextInput(backend.to_str(), context, padding=padding, fixed=True, clean=clean, zero=zero)
    raise errors.UnsupportedBackend(f"the tokenizer {type(tokenizer).__name__} of this model cannot be exported")
