"""Relevance in transformers: gradient-weighted attention rollout.

Chefer, Gur and Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder
Transformers", ICCV 2021, equations 5 and 6, for self-attention.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import torch
from torch.nn import functional

from anybind.plugin import BadInput

ALL, LAST = "all", "last"
FIRST_BLOCKS = (ALL, LAST)
"""Blocks that the rollout starts at: the first, as in the equations, or the last, as in the method's CLIP example."""
EXTRA_KEYS = 2
"""Largest number of keys beyond the tokens: torch's `bias_k` and its zero key."""

_patch_lock = threading.Lock()


@dataclass
class RecordedAttention:
    """Attention probabilities and outputs of one forward pass, in order.

    Attributes:
        probabilities: (n, heads, queries, keys) per layer, in the autograd graph of the pass.
        outputs: (n, heads, queries, d) per layer.
    """

    probabilities: list[torch.Tensor] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)

    def compute_relevance(self, score: torch.Tensor, first_block: str = ALL) -> torch.Tensor:
        """Compute the relevance of every token for a score, (tokens,) float64, 0 or more.

        It is the rollout's row of the token that the score depends on - the class token of an image, the end token of a
        text - or the mean row if the score depends on several tokens, minus the initial identity.

        Args:
            score: a scalar of the same forward pass.
            first_block: block the rollout starts at, `all` (the first) or `last`.

        Raises:
            BadInput: the recorded layers are not the self-attention of one transformer.
        """
        tokens = {each.shape[2] for each in self.probabilities}
        if len(tokens) != 1 or not all(_is_token_attention(each) and each.shape[0] == 1 for each in self.probabilities):
            raise BadInput(
                "attention rollout needs self-attention over the same tokens in every block, which excludes attention"
                " pooling, token dropping and temporal attention"
            )
        layers = self.probabilities[-1:] if first_block == LAST else self.probabilities
        inputs = [*layers, self.outputs[-1]]
        *gradients, output_gradient = torch.autograd.grad(score, inputs, allow_unused=True, materialize_grads=True)
        rows = output_gradient[0].ne(0).any(dim=2).any(dim=0)
        if not rows.any():
            raise BadInput("the score does not depend on the last attention layer")
        rollout = compute_rollout([each[0] for each in layers], [each[0] for each in gradients])
        identity = torch.eye(len(rollout), dtype=rollout.dtype, device=rollout.device)
        return (rollout - identity)[rows].mean(dim=0).detach()


def compute_rollout(probabilities: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Compute the relevance of each token (column) for each token (row) after all blocks.

    Args:
        probabilities: (heads, tokens, keys) for each block, in order; keys beyond the tokens are ignored.
        gradients: gradients of the score with respect to the probabilities, of the same shapes.

    Returns:
        (tokens, tokens) float64, 0 or more.
    """
    tokens = probabilities[0].shape[1]
    relevance = torch.eye(tokens, dtype=torch.float64, device=probabilities[0].device)
    for layer_probabilities, gradient in zip(probabilities, gradients, strict=True):
        weighted = (layer_probabilities.double() * gradient.double()).clamp(min=0).mean(dim=0)[:, :tokens]
        relevance = relevance + weighted @ relevance
    return relevance


@contextmanager
def record_attention() -> Iterator[RecordedAttention]:
    """Record the attention of all layers that this thread runs in the block.

    Nearly all transformers - torch's own attention, open_clip, timm, transformers, ImageBind - call
    `torch.nn.functional.scaled_dot_product_attention`, which does not return its probabilities. In the block it is
    replaced by an explicit computation, which differs by rounding only.
    """
    attentions, thread, original = RecordedAttention(), threading.get_ident(), functional.scaled_dot_product_attention

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,  # encoders are in evaluation mode
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if threading.get_ident() != thread:
            return original(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        if enable_gqa or query.ndim != 4:
            raise BadInput("attention rollout does not support grouped-query attention, or attention without heads")
        logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        if attn_mask is not None:
            is_boolean = attn_mask.dtype == torch.bool
            logits = logits.masked_fill(~attn_mask, float("-inf")) if is_boolean else logits + attn_mask
        probabilities = torch.softmax(logits, dim=-1)
        if not probabilities.requires_grad:  # the weights are frozen
            probabilities.requires_grad_()
        attentions.probabilities.append(probabilities)
        attentions.outputs.append(probabilities @ value)
        return attentions.outputs[-1]

    with _patch_lock, mock.patch.object(functional, "scaled_dot_product_attention", attend), _disable_fast_path():
        yield attentions


@contextmanager
def _disable_fast_path() -> Iterator[None]:
    """Disable torch's fast path for frozen weights, which bypasses the patched function."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _is_token_attention(probabilities: torch.Tensor) -> bool:
    queries, keys = probabilities.shape[2:]
    return queries > 1 and 0 <= keys - queries <= EXTRA_KEYS


def compute_attention_relevance(
    compute_scores: Callable[[object], torch.Tensor], batch: object, first_block: str = ALL
) -> torch.Tensor | None:
    """Compute the relevance of every token of a sample for its score, (tokens,) float64; None without self-attention.

    Args:
        compute_scores: maps a batch to (n,) scores, with gradients.
        batch: a batch of one sample.
        first_block: block the rollout starts at, `all` (the first) or `last`.

    Raises:
        BadInput: an attention that rollout does not support.
    """
    with record_attention() as attentions, torch.enable_grad():
        score = compute_scores(batch)[0]
    if not any(map(_is_token_attention, attentions.probabilities)):
        return None
    return attentions.compute_relevance(score, first_block)
