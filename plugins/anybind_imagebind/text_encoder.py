"""ImageBind's text encoder, with open_clip's tokenizer."""

from __future__ import annotations

import warnings

import torch
from open_clip.tokenizer import SimpleTokenizer

from anybind import AnybindWarning
from anybind.plugin import TorchEncoder, export
from anybind_imagebind.encoders import read_logit_scale
from anybind_imagebind.modules import TEXT, Architecture
from anybind_imagebind.weights import MAX_LOGIT_SCALE, REPOSITORY, load_module


class ImageBindTextEncoder(TorchEncoder):
    """A text encoder over CLIP tokens; a text of more than 75 tokens is truncated, with a warning that shows where.

    Upstream drops the end token of truncated texts; here it is kept, since the features are those of the end token.
    """

    def __init__(
        self, weights: str = REPOSITORY, *, revision: str | None = None, architecture: Architecture = TEXT
    ) -> None:
        """Load the encoder.

        Args:
            weights: a file, a folder, or a hub repository.
            revision: revision of the repository. [default: the revision tested with this plugin]
            architecture: expected sizes of the weights.

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
            logit_scale=min(read_logit_scale(module), MAX_LOGIT_SCALE),
        )

    def preprocess(self, sample: str) -> torch.Tensor:
        """Map a text to (77,) int64 tokens."""
        tokens = self._tokenizer([sample])[0]
        all_tokens = self._tokenizer.encode(sample)
        length = len(tokens) - 2  # without the start and end tokens
        if len(all_tokens) > length:
            before, after = (
                self._tokenizer.decode(part).strip() for part in (all_tokens[:length], all_tokens[length:])
            )
            warnings.warn(
                f"text truncated to {len(tokens)} tokens: kept up to {before[-30:]!r}, dropped {after[:30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return tokens

    def plan_export(self) -> export.ExportPlan:
        tokens = export.TextInput.from_clip(self._tokenizer)
        axes = {"tokens": {0: "n"}}
        return export.ExportPlan(self.module, "imagebind-text", tokens.options, axes, tokens.files)
