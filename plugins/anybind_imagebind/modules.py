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
    is_bound: bool = False
    vocabulary: int = 0


SOUND = Architecture("audio", 768, 12, 12, tokens=12 * 19 + 1, kernel=(1, 16, 16), stride=10, is_bound=True)
DEPTH = Architecture("depth", 384, 12, 8, tokens=14 * 14 + 1, kernel=(1, 16, 16), stride=16, is_bound=True)
IMAGE = Architecture("vision", 1280, 32, 16, tokens=16 * 16 + 1, kernel=(3, 2, 14, 14), stride=14)
TEXT = Architecture("text", 1024, 24, 16, tokens=77, vocabulary=49408)
"""The sizes of imagebind_huge."""


class ImageBindAttention(nn.Module):
    """Attention of each token to all, by several heads."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.heads = architecture.heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * architecture.width, architecture.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * architecture.width))
        self.bias_k = nn.Parameter(torch.zeros(1, 1, architecture.width)) if architecture.is_bound else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, architecture.width)) if architecture.is_bound else None
        self.out_proj = nn.Linear(architecture.width, architecture.width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(n, tokens, width) to the same; the mask is added to what each token (row) pays to each other."""
        query, key, value = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:  # one more token that all can attend to
            key = torch.cat([key, self.bias_k.expand(len(x), -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(x), -1, -1)], dim=1)
        query, key, value = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class ImageBindBlock(nn.Module):
    """Attention and a two-layer network, each with a norm before and a sum after."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(architecture.width, eps=1e-6)
        self.attn = ImageBindAttention(architecture)
        self.norm_2 = nn.LayerNorm(architecture.width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(architecture.width, 4 * architecture.width), "fc2": nn.Linear(4 * architecture.width, architecture.width)})

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(n, tokens, width) to the same."""
        x = x + self.attn(self.norm_1(x), mask)
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm_2(x))))


class PatchEmbedding(nn.Module):
    """A convolution without bias that makes a token of every patch."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(architecture.width, *architecture.kernel))
        self.stride = architecture.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, height, width) to (n, patches, width)."""
        # A picture is a film that stands still: one convolution with the sum over its frames is the same, for less.
        weight = self.weight.sum(2) if self.weight.ndim == 5 else self.weight
        return functional.conv2d(x, weight, stride=self.stride).flatten(2).transpose(1, 2)


class PatchTransformer(nn.Module):
    """The tower of pictures, depth maps and spectrograms."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.stem = PatchEmbedding(architecture)
        self.stem_norm = nn.LayerNorm(architecture.width, eps=1e-5) if architecture.is_bound else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, architecture.width))
        self.position = nn.Parameter(torch.zeros(1, architecture.tokens, architecture.width))
        self.first_norm = nn.Identity() if architecture.is_bound else nn.LayerNorm(architecture.width, eps=1e-6)
        self.blocks = nn.ModuleList(ImageBindBlock(architecture) for _ in range(architecture.blocks))
        self.norm = nn.LayerNorm(architecture.width, eps=1e-6)
        self.head = nn.Linear(architecture.width, architecture.dim, bias=False)
        if architecture.is_bound:
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

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(architecture.vocabulary, architecture.width)
        self.position = nn.Parameter(torch.zeros(1, architecture.tokens, architecture.width))
        self.blocks = nn.ModuleList(ImageBindBlock(architecture) for _ in range(architecture.blocks))
        self.norm = nn.LayerNorm(architecture.width, eps=1e-6)
        self.head = nn.Linear(architecture.width, architecture.dim, bias=False)
        self.register_buffer("mask", torch.full((architecture.tokens, architecture.tokens), float("-inf")).triu(1))
        self.register_buffer("log_logit_scale", torch.zeros(()))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, tokens) int64, of which the end of a text has the highest number, to (n, dim), not of norm 1."""
        x = self.token_embedding(tokens) + self.position
        for block in self.blocks:
            x = block(x, self.mask)
        last = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=1)]
        return self.head(self.norm(last))


def map_weight_name(architecture: Architecture, name: str) -> str:
    """What the published weight files call a weight of these modules."""
    first, dot, rest = name.partition(".")
    stem = {"depth": "depth_stem.proj", "vision": "rgbt_stem.proj.1"}.get(architecture.key, "rgbt_stem.proj")
    stem_norm = stem.partition(".")[0] + ".norm_layer"
    position = "pos_embed" if architecture.vocabulary else "pos_embedding_helper.pos_embed"
    head = ("proj.0", "proj.1") if architecture.vocabulary else ("0", "2")
    prefixes = {
        "stem": f"modality_preprocessors.{architecture.key}.{stem}",
        "stem_norm": f"modality_preprocessors.{architecture.key}.{stem_norm}",
        "cls_token": f"modality_preprocessors.{architecture.key}.cls_token",
        "token_embedding": f"modality_preprocessors.{architecture.key}.token_embedding",
        "position": f"modality_preprocessors.{architecture.key}.{position}",
        "mask": f"modality_preprocessors.{architecture.key}.mask",
        "first_norm": f"modality_trunks.{architecture.key}.pre_transformer_layer.0",
        "blocks": f"modality_trunks.{architecture.key}.blocks",
        "norm": f"modality_heads.{architecture.key}.{head[0]}",
        "head": f"modality_heads.{architecture.key}.{head[1]}",
        "log_logit_scale": f"modality_postprocessors.{architecture.key}.1.log_logit_scale",
    }
    return prefixes[first] + dot + rest
