"""ImageBind's towers as torch modules: transformers over patches, or over the tokens of a text.

Their weights come from a file; a module that was just made holds zeros where torch has no initial values of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Architecture:
    """Sizes of a tower; those of the published model are below.

    Attributes:
        key: what the names of its weights call the modality.
        width: numbers a token, in the transformer.
        blocks: how many transformer blocks.
        heads: attention heads a block.
        tokens: how many positions have an embedding, that of the class token included.
        dim: of the space.
        kernel: of the stem: channels, height and width of a patch; four numbers where it also has frames.
        stride: of the stem, in pixels.
        joined: of a modality that was trained after pictures and words: its stem ends in a norm, its attention has a
            learned key and value, and there is no norm before the first block.
        vocabulary: how many tokens there are; 0 for all but texts.
    """

    key: str
    width: int
    blocks: int
    heads: int
    tokens: int
    dim: int = 1024
    kernel: tuple[int, ...] = ()
    stride: int = 0
    joined: bool = False
    vocabulary: int = 0


SOUND = Architecture("audio", 768, 12, 12, tokens=12 * 19 + 1, kernel=(1, 16, 16), stride=10, joined=True)
DEPTH = Architecture("depth", 384, 12, 8, tokens=14 * 14 + 1, kernel=(1, 16, 16), stride=16, joined=True)
IMAGE = Architecture("vision", 1280, 32, 16, tokens=16 * 16 + 1, kernel=(3, 2, 14, 14), stride=14)
TEXT = Architecture("text", 1024, 24, 16, tokens=77, vocabulary=49408)
"""The sizes of imagebind_huge."""


class Attention(nn.Module):
    """Attention of each token to all, by several heads."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.heads = of.heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * of.width, of.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * of.width))
        self.bias_k = nn.Parameter(torch.zeros(1, 1, of.width)) if of.joined else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, of.width)) if of.joined else None
        self.out_proj = nn.Linear(of.width, of.width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(n, tokens, width) to the same; the mask is added to what each token (row) pays to each other."""
        query, key, value = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:  # one more token that all can attend to
            key = torch.cat([key, self.bias_k.expand(len(x), -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(x), -1, -1)], dim=1)
        query, key, value = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a two-layer network, each with a norm before and a sum after."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(of.width, eps=1e-6)
        self.attn = Attention(of)
        self.norm_2 = nn.LayerNorm(of.width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(of.width, 4 * of.width), "fc2": nn.Linear(4 * of.width, of.width)})

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(n, tokens, width) to the same."""
        x = x + self.attn(self.norm_1(x), mask)
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm_2(x))))


class Stem(nn.Module):
    """A convolution without bias that makes a token of every patch."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(of.width, *of.kernel))
        self.stride = of.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, height, width) to (n, patches, width)."""
        # A picture is a film that stands still: one convolution with the sum over its frames is the same, for less.
        weight = self.weight.sum(2) if self.weight.ndim == 5 else self.weight
        return functional.conv2d(x, weight, stride=self.stride).flatten(2).transpose(1, 2)


class PatchTransformer(nn.Module):
    """The tower of pictures, depth maps and spectrograms."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.stem = Stem(of)
        self.stem_norm = nn.LayerNorm(of.width, eps=1e-5) if of.joined else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, of.width))
        self.position = nn.Parameter(torch.zeros(1, of.tokens, of.width))
        self.first_norm = nn.Identity() if of.joined else nn.LayerNorm(of.width, eps=1e-6)
        self.blocks = nn.ModuleList(Block(of) for _ in range(of.blocks))
        self.norm = nn.LayerNorm(of.width, eps=1e-6)
        self.head = nn.Linear(of.width, of.dim, bias=False)
        if of.joined:
            self.register_buffer("log_logit_scale", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, height, width) to (n, dim), not of norm 1."""
        x = self.stem_norm(self.stem(x))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.position
        x = self.first_norm(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class TextTransformer(nn.Module):
    """The tower of words: each token sees those before it, and the last one speaks for the text."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(of.vocabulary, of.width)
        self.position = nn.Parameter(torch.zeros(1, of.tokens, of.width))
        self.blocks = nn.ModuleList(Block(of) for _ in range(of.blocks))
        self.norm = nn.LayerNorm(of.width, eps=1e-6)
        self.head = nn.Linear(of.width, of.dim, bias=False)
        self.register_buffer("mask", torch.full((of.tokens, of.tokens), float("-inf")).triu(1))
        self.register_buffer("log_logit_scale", torch.zeros(()))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, tokens) int64, of which the end of a text has the highest number, to (n, dim), not of norm 1."""
        x = self.token_embedding(tokens) + self.position
        for block in self.blocks:
            x = block(x, self.mask)
        last = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=1)]
        return self.head(self.norm(last))


def upstream_name(of: Architecture, name: str) -> str:
    """What the published weight files call a weight of these modules."""
    first, dot, rest = name.partition(".")
    stem = {"depth": "depth_stem.proj", "vision": "rgbt_stem.proj.1"}.get(of.key, "rgbt_stem.proj")
    stem_norm = stem.partition(".")[0] + ".norm_layer"
    position = "pos_embed" if of.vocabulary else "pos_embedding_helper.pos_embed"
    head = ("proj.0", "proj.1") if of.vocabulary else ("0", "2")
    prefixes = {
        "stem": f"modality_preprocessors.{of.key}.{stem}",
        "stem_norm": f"modality_preprocessors.{of.key}.{stem_norm}",
        "cls_token": f"modality_preprocessors.{of.key}.cls_token",
        "token_embedding": f"modality_preprocessors.{of.key}.token_embedding",
        "position": f"modality_preprocessors.{of.key}.{position}",
        "mask": f"modality_preprocessors.{of.key}.mask",
        "first_norm": f"modality_trunks.{of.key}.pre_transformer_layer.0",
        "blocks": f"modality_trunks.{of.key}.blocks",
        "norm": f"modality_heads.{of.key}.{head[0]}",
        "head": f"modality_heads.{of.key}.{head[1]}",
        "log_logit_scale": f"modality_postprocessors.{of.key}.1.log_logit_scale",
    }
    return prefixes[first] + dot + rest
