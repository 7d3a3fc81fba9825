"""Learned prompts: context vectors before class names, in place of a template (CoOp, Zhou et al., 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from anybind import Binder
from anybind.plugin import BadOption, TorchEncoder, create_part
from anybind_train.recipe import PROMPT_METHODS, StudentConfig
from anybind_train.student import StudentModule

PLACEHOLDER = "x"
"""A word of one token for every tokenizer; learned vectors replace it, after the start token of a text."""


class PromptedText(TorchEncoder):
    """A frozen text encoder with k learned context vectors before each text, which is a bare class name.

    Its module has the context, (k, width), alone: a weight file has a few kilobytes.
    """

    def __init__(
        self,
        *,
        use: str,
        options: Mapping[str, object] | None = None,
        context: int = 4,
        start: str = "",
        weights: str | None = None,
    ) -> None:
        """Add a context to a registered text encoder.

        Args:
            use: the text encoder's name.
            options: its options.
            context: k, the number of learned vectors; they start as the placeholder's token embedding plus noise.
            start: k words that they start as, each by its first token, in place of `context`: `a photo of a`.
            weights: a file of `save_weights`.

        Raises:
            BadOption: not a torch text encoder with a token embedding, or k is below 1.
            WeightsMismatch: the weights are for another text encoder.
        """
        text_encoder = create_part("encoder", use, **(options or {}))
        if not isinstance(text_encoder, TorchEncoder) or text_encoder.modality != "text":
            raise BadOption(f"expected a torch text encoder for learned prompts, got {use!r}")
        if context < 1:
            raise BadOption(f"context: expected at least 1, got {context}")
        context = len(start.split()) or context
        self.text_encoder, self.context_length = text_encoder, context
        text_encoder.module.requires_grad_(False)
        embedding = _find_token_embedding(text_encoder)
        words = start.split() or [PLACEHOLDER] * context
        super().__init__(
            PromptContext(embedding, [text_encoder.preprocess(word) for word in words]),
            modality="text",
            space=text_encoder.space,
            preprocessing={"text": text_encoder.identity, "context": context},
            logit_scale=text_encoder.logit_scale,
        )
        embedding.register_forward_hook(self._insert_context)
        if weights is not None:
            self.load_weights(weights)

    def _insert_context(self, embedding: nn.Module, inputs: object, tokens: torch.Tensor) -> torch.Tensor:
        """Replace the embedded tokens (n, length, width) after the first by the context."""
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
        raise BadOption("a prompted text encoder cannot be copied: load another one from its weights")


class PromptContext(nn.Module):
    """The learned vectors, (k, width)."""

    def __init__(self, embedding: nn.Embedding, words: Sequence[object]) -> None:
        super().__init__()
        tokens = torch.stack([torch.as_tensor(word).reshape(-1)[1] for word in words])
        start = embedding.weight[tokens].detach().clone()
        self.vectors = nn.Parameter(start + 0.02 * torch.randn(start.shape) * start.std())


class PromptStudent(nn.Module):
    """A student that learns prompts: its sample encoder is frozen, `texts` are the last batch's class embeddings."""

    def __init__(self, encoder: TorchEncoder, prompted: PromptedText, classes: Sequence[str]) -> None:
        super().__init__()
        encoder.module.requires_grad_(False)
        self.encoder, self.prompted = encoder, prompted
        self.module = prompted.module
        self.tokens = [prompted.preprocess(name) for name in classes]
        self.texts: torch.Tensor | None = None

    def forward(self, batch: object) -> torch.Tensor:
        """Return (n, d) embeddings without gradients; gradients flow through `texts`, (classes, d), norm 1."""
        self.encoder.module.eval()
        self.texts = _embed_class_names(self.prompted, self.tokens)
        with torch.no_grad():
            return self.encoder.features(batch).float()


class JointStudent(StudentModule):
    """A student that learns its encoder's weights and prompts; `texts` are the last batch's class embeddings."""

    def __init__(
        self, encoder: TorchEncoder, prompted: PromptedText, classes: Sequence[str], config: StudentConfig
    ) -> None:
        super().__init__(encoder, config)
        self.prompted = prompted
        self.module = nn.ModuleDict({"encoder": encoder.module, "prompts": prompted.module})
        self.tokens = [prompted.preprocess(name) for name in classes]

    def forward(self, batch: object) -> torch.Tensor:
        """Return (n, d) embeddings, not of norm 1; gradients flow through them and `texts`, (classes, d), norm 1."""
        self.texts = _embed_class_names(self.prompted, self.tokens)
        return super().forward(batch)


def build_student(
    config: StudentConfig, encoder: TorchEncoder, binder: Binder, classes: Sequence[str]
) -> StudentModule | PromptStudent:
    """Build the student of a recipe's method, on a copy of the encoder if its weights are trained."""
    if config.method not in PROMPT_METHODS:
        return StudentModule(encoder.copy(), config)
    text_encoder = binder.encoder("text")
    assert isinstance(text_encoder, PromptedText)  # `load_student_binder` configures it
    if config.method == "joint":
        return JointStudent(encoder.copy(), text_encoder, classes, config)
    return PromptStudent(encoder, text_encoder, classes)


def _embed_class_names(prompted: PromptedText, tokens: Sequence[object]) -> torch.Tensor:
    """Embed prepared class names with the learned prompts, with gradients: (classes, d), norm 1, float32."""
    prompted.text_encoder.module.eval()
    return functional.normalize(prompted.features(prompted.collate(tokens)).float(), dim=1)


def _find_token_embedding(text: TorchEncoder) -> nn.Embedding:
    embeddings = [module for module in text.module.modules() if isinstance(module, nn.Embedding)]
    if not embeddings:
        raise BadOption("the text encoder has no token embedding: it does not support learned prompts")
    return max(embeddings, key=lambda each: each.num_embeddings)  # the smaller ones are of positions and token types
