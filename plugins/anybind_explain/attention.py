"""Relevance in transformers: gradient-weighted attention, rolled out over the blocks.

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

EXTRA_KEYS = 2
"""Most keys that an attention may have beyond its tokens: torch's learned one, and its zero one."""

_one_at_a_time = threading.Lock()


@dataclass
class Attentions:
    """What the attentions of one pass paid, in order.

    Attributes:
        shares: (n, heads, queries, keys) each: probabilities over the keys, in the graph of the pass.
        outputs: (n, heads, queries, d) each: what they made of the values.
    """

    shares: list[torch.Tensor] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)

    def relevance(self, score: torch.Tensor) -> torch.Tensor:
        """Relevance of every token for a score, (tokens,) float64, 0 or more.

        It is the row of the token that the score is read from - the class token of a picture, the end of a text - or
        the mean row where the score is read from several, without what each is to itself from the start.

        Args:
            score: a number of the same pass.

        Raises:
            BadInput: these are not the self-attentions of one transformer.
        """
        tokens = {each.shape[2] for each in self.shares}
        if len(tokens) != 1 or not all(_is_of_tokens(each) and each.shape[0] == 1 for each in self.shares):
            raise BadInput(
                "its attention is not that of one sample's tokens to each other in every block (it pools by attention,"
                " drops tokens or also attends over time), which attention roll-out does not cover"
            )
        wanted = [*self.shares, self.outputs[-1]]
        *gradients, read = torch.autograd.grad(score, wanted, allow_unused=True, materialize_grads=True)
        rows = read[0].ne(0).any(dim=2).any(dim=0)
        if not rows.any():
            raise BadInput("its score does not depend on its last attention, so that no relevance can be told")
        rolled = roll_out([each[0] for each in self.shares], [each[0] for each in gradients])
        return (rolled - torch.eye(len(rolled), dtype=rolled.dtype, device=rolled.device))[rows].mean(dim=0).detach()


def roll_out(shares: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Relevance of each token (column) to each (row) behind all blocks.

    Args:
        shares: (heads, tokens, keys) for each block, the first one first; keys beyond the tokens are no one's.
        gradients: of the score by the shares, of the same shapes.

    Returns:
        (tokens, tokens) float64, 0 or more.
    """
    tokens = shares[0].shape[1]
    relevance = torch.eye(tokens, dtype=torch.float64, device=shares[0].device)
    for share, gradient in zip(shares, gradients, strict=True):
        paid = (share.double() * gradient.double()).clamp(min=0).mean(dim=0)[:, :tokens]
        relevance = relevance + paid @ relevance
    return relevance


@contextmanager
def recorded() -> Iterator[Attentions]:
    """Take down the attentions of what this thread runs in the block.

    Nearly all transformers - torch's own attention, open_clip, timm, transformers, ImageBind - call
    `torch.nn.functional.scaled_dot_product_attention`, which keeps its probabilities to itself. In the block it is
    computed step by step instead, which differs by rounding only.
    """
    found, thread, fused = Attentions(), threading.get_ident(), functional.scaled_dot_product_attention

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,  # towers are at rest while they are explained
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if threading.get_ident() != thread:
            return fused(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        if enable_gqa or query.ndim != 4:
            raise BadInput("its attention shares keys between heads, or has no heads; such a one cannot be explained")
        logits = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        if attn_mask is not None:
            masked = attn_mask.dtype == torch.bool
            logits = logits.masked_fill(~attn_mask, float("-inf")) if masked else logits + attn_mask
        shares = torch.softmax(logits, dim=-1)
        if not shares.requires_grad:  # of a tower whose weights are frozen
            shares.requires_grad_()
        found.shares.append(shares)
        found.outputs.append(shares @ value)
        return found.outputs[-1]

    with _one_at_a_time, mock.patch.object(functional, "scaled_dot_product_attention", attend), _no_fast_path():
        yield found


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """Keep torch's own attention layers from a path for frozen weights that does not pass by the function above."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _is_of_tokens(shares: torch.Tensor) -> bool:
    queries, keys = shares.shape[2:]
    return queries > 1 and 0 <= keys - queries <= EXTRA_KEYS


def attention_relevance(score_of: Callable[[object], torch.Tensor], batch: object) -> torch.Tensor | None:
    """Relevance of every token of one sample for its score, (tokens,) float64; None where tokens attend to nothing.

    Args:
        score_of: a batch to (n,) scores, with gradients.
        batch: of one sample.

    Raises:
        BadInput: there is attention, but not as roll-out knows it.
    """
    with recorded() as found, torch.enable_grad():
        score = score_of(batch)[0]
    return found.relevance(score) if any(map(_is_of_tokens, found.shares)) else None
