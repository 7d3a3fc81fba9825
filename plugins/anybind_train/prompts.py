"""Learned prompts: context vectors in front of class names, in place of a sentence (CoOp, Zhou et al., 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from anybind.plugin import BadOption, TorchEncoder, create_part

PLACEHOLDER = "x"
"""A word that tokenizers make one token of; learned vectors take its place behind the token that begins a text."""


class PromptedText(TorchEncoder):
    """A frozen text tower that reads k learned vectors in front of each text, which then is a bare class name.

    Its module holds the context, (k, width), and nothing else: a file of it has a few kilobytes.
    """

    def __init__(
        self, *, use: str, options: Mapping[str, object] | None = None, context: int = 4, weights: str | None = None
    ) -> None:
        """Put a context in front of a registered text encoder.

        Args:
            use: the text encoder's name.
            options: its options.
            context: k, the number of learned vectors; those of the placeholder's token plus noise until they learn.
            weights: a file that `save_weights` of such a tower wrote.

        Raises:
            BadOption: the encoder is no text tower with an embedding of tokens, or k is below 1.
            WeightsMismatch: the weights are for another text tower.
        """
        text_encoder = create_part("encoder", use, **(options or {}))
        if not isinstance(text_encoder, TorchEncoder) or text_encoder.modality != "text":
            raise BadOption(f"the encoder {use!r} is no text tower on torch: it takes no learned prompts")
        if context < 1:
            raise BadOption(f"context must be at least 1, got {context}")
        self.text_encoder, self.context_length = text_encoder, context
        text_encoder.module.requires_grad_(False)
        embedding = _find_token_embedding(text_encoder)
        super().__init__(
            PromptContext(embedding, text_encoder.preprocess(PLACEHOLDER), context),
            modality="text",
            space=text_encoder.space,
            preprocessing={"text": text_encoder.identity, "context": context},
            logit_scale=text_encoder.logit_scale,
        )
        embedding.register_forward_hook(self._insert_context)
        if weights is not None:
            self.load_weights(weights)

    def _insert_context(self, embedding: nn.Module, given: object, tokens: torch.Tensor) -> torch.Tensor:
        """Embedded tokens, (n, length, width), with the context behind the first."""
        vectors = self.module.get_parameter("vectors")
        context = vectors.to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :1], context, tokens[:, 1 + self.context_length :]], dim=1)

    def preprocess(self, sample: str) -> object:
        return self.text_encoder.preprocess(" ".join([PLACEHOLDER] * self.context_length + [sample]))

    def collate(self, inputs: Sequence[object]) -> object:
        return self.text_encoder.collate(inputs)

    def features(self, batch: object) -> torch.Tensor:
        return self.text_encoder.features(batch)

    def to(self, device: str | torch.device) -> Self:
        self.text_encoder.to(device)
        return super().to(device)

    def copy(self) -> Self:
        raise BadOption("a prompted text tower is not copied: make another from its weights")


class PromptContext(nn.Module):
    """The learned vectors, (k, width)."""

    def __init__(self, embedding: nn.Embedding, placeholder: object, length: int) -> None:
        super().__init__()
        tokens = torch.as_tensor(placeholder).reshape(-1)
        with torch.no_grad():
            start = embedding.weight[tokens[1]].detach().clone().expand(length, -1)
        self.vectors = nn.Parameter(start + 0.02 * torch.randn(start.shape) * start.std())


class PromptStudent(nn.Module):
    """What learns prompts: the sample tower is frozen, and `texts` holds the class vectors of the last batch."""

    def __init__(self, encoder: TorchEncoder, prompted: PromptedText, classes: Sequence[str]) -> None:
        super().__init__()
        encoder.module.requires_grad_(False)
        self.encoder, self.prompted = encoder, prompted
        self.module = prompted.module
        self.tokens = [prompted.preprocess(name) for name in classes]
        self.texts: torch.Tensor | None = None

    def forward(self, batch: object) -> torch.Tensor:
        """(n, d), norm 1, without gradients; they go through `texts`, (classes, d), norm 1."""
        self.encoder.module.eval()
        self.prompted.text_encoder.module.eval()
        self.texts = functional.normalize(self.prompted.features(self.prompted.collate(self.tokens)).float(), dim=1)
        with torch.no_grad():
            return functional.normalize(self.encoder.features(batch).float(), dim=1)


def _find_token_embedding(text: TorchEncoder) -> nn.Embedding:
    tables = [part for part in text.module.modules() if isinstance(part, nn.Embedding)]
    if not tables:
        raise BadOption("the text tower has no embedding of tokens that a learned prompt could stand in")
    return max(tables, key=lambda table: table.num_embeddings)  # the others are of positions and kinds
