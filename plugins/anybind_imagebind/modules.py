"""ImageBind's transformers over image patches, depth patches, spectrogram patches or text tokens.

Weights come from a file; parameters without a torch initialiser start as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Architecture:
    """Sizes of a transformer; those of the published model are below.

    Attributes:
        key: the modality's key in the names of the published weights.
        width: token dimension of the transformer.
        blocks: number of transformer blocks.
        heads: attention heads per block.
        tokens: number of position embeddings, including the class token's.
        dim: dimension of the space.
        kernel: kernel of the patch embedding: channels, (frames,) height and width.
        stride: stride of the patch embedding, in pixels.
        is_bound: a modality that was bound to the frozen image and text encoders: its patch embedding ends in a norm,
            its attention has a learned key and value, and there is no norm before the first block.
        vocabulary: number of tokens of the vocabulary; 0 for all modalities but text.
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
    """Multi-head self-attention."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.heads = architecture.heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * architecture.width, architecture.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * architecture.width))
        self.bias_k = nn.Parameter(torch.zeros(1, 1, architecture.width)) if architecture.is_bound else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, architecture.width)) if architecture.is_bound else None
        self.out_proj = nn.Linear(architecture.width, architecture.width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (n, tokens, width) to the same shape; the mask is added to the attention logits (row: query)."""
        query, key, value = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:  # a learned token that all tokens attend to
            key = torch.cat([key, self.bias_k.expand(x.shape[0], -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(x.shape[0], -1, -1)], dim=1)
        query, key, value = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class ImageBindBlock(nn.Module):
    """A pre-norm transformer block: self-attention and a two-layer MLP, each with a residual connection."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(architecture.width, eps=1e-6)
        self.attn = ImageBindAttention(architecture)
        self.norm_2 = nn.LayerNorm(architecture.width, eps=1e-6)
        self.mlp = nn.ModuleDict(
            {
                "fc1": nn.Linear(architecture.width, 4 * architecture.width),
                "fc2": nn.Linear(4 * architecture.width, architecture.width),
            }
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (n, tokens, width) to the same shape."""
        x = x + self.attn(self.norm_1(x), mask)
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm_2(x))))


class PatchEmbedding(nn.Module):
    """A convolution without bias that maps every patch to a token."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(architecture.width, *architecture.kernel))
        self.stride = architecture.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, channels, height, width) to (n, patches, width)."""
        # An image is a video of equal frames: a 2-d convolution with the kernel summed over frames is equivalent.
        weight = self.weight.sum(2) if self.weight.ndim == 5 else self.weight
        return functional.conv2d(x, weight, stride=self.stride).flatten(2).transpose(1, 2)


class PatchTransformer(nn.Module):
    """A vision transformer over images, depth maps or spectrograms."""

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
        """Map (n, channels, height, width) to (n, dim), not normalised."""
        x = self.stem_norm(self.stem(x))
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        x = self.first_norm(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class TextTransformer(nn.Module):
    """A causal text transformer; the features are those of the end token."""

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
        """Map (n, tokens) int64, whose end token has the highest id, to (n, dim), not normalised."""
        x = self.token_embedding(tokens) + self.position
        for block in self.blocks:
            x = block(x, self.mask)
        last = x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=1)]
        return self.head(self.norm(last))


def map_weight_name(architecture: Architecture, name: str) -> str:
    """Return the name of a weight in the published files."""
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
