"""The tower of words, on open_clip's tokenizer."""

from __future__ import annotations

import warnings

import torch
from open_clip.tokenizer import SimpleTokenizer

from anybind import AnybindWarning
from anybind.plugin import TorchEncoder
from anybind_imagebind.modules import TEXT, Architecture
from anybind_imagebind.encoders import read_logit_scale
from anybind_imagebind.weights import HIGHEST_SCALE, REPOSITORY, load_module


class ImageBindTextEncoder(TorchEncoder):
    """Words by CLIP's tokens. A longer text is cut behind its first 75 tokens, with a warning that shows where.

    Upstream drops the mark of the end from a text that it cuts; here the mark stays, since its token speaks for the
    text.
    """

    def __init__(
        self, weights: str = REPOSITORY, *, revision: str | None = None, architecture: Architecture = TEXT
    ) -> None:
        """Load the tower.

        Args:
            weights: a file, a folder, or a repository of the hub.
            revision: of the repository; by default the one that this plugin was checked with.
            architecture: the sizes that the weights must have.

        Raises:
            BadInput, WeightsMismatch: see `load_module`.
        """
        module, space = load_module(architecture, weights, revision)
        self._tokenizer = SimpleTokenizer(context_length=architecture.tokens)
        super().__init__(
            module,
            modality="text",
            space=space,
            preprocessing={"tokenizer": "CLIP", "context_length": architecture.tokens},
            logit_scale=min(read_logit_scale(module), HIGHEST_SCALE),
        )

    def preprocess(self, sample: str) -> torch.Tensor:
        """A text to (77,) int64 tokens."""
        tokens = self._tokenizer([sample])[0]
        all_tokens = self._tokenizer.encode(sample)
        length = len(tokens) - 2  # what is left beside the marks of start and end
        if len(all_tokens) > length:
            before, after = (self._tokenizer.decode(part).strip() for part in (all_tokens[:length], all_tokens[length:]))
            warnings.warn(
                f"text cut to {len(tokens)} tokens: kept up to {before[-30:]!r}, dropped {after[:30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return tokens
