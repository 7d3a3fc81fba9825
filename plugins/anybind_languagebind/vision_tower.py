"""The network behind every tower but that of words: transformers' CLIP, for inputs of any sides and for films."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from anybind.plugin import BadInput, tensors
from anybind_languagebind.checkpoint import Checkpoint, ConfigSection

Config = TypeVar("Config", CLIPTextConfig, CLIPVisionConfig)
REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "patch_size",
)
OPTIONAL = ("hidden_act", "layer_norm_eps")
"""What a configuration may leave out where it is as in OpenAI's CLIP."""


class PatchEmbeddings(nn.Module):
    """Patches of an input of any sides, a class token in front, positions added.

    transformers' own takes squares only. With `frames`, each frame of a film has a class token of its own, and the
    patches are those of a convolution over time that is one frame long (LanguageBind_Video_V1.5_FT).
    """

    def __init__(self, width: int, patch: int, grid: tuple[int, int], frames: int = 0) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros((frames, width) if frames else (width,)))
        if frames:
            self.patch_embedding = nn.Conv3d(3, width, (1, patch, patch), (1, patch, patch), bias=False)
        else:
            self.patch_embedding = nn.Conv2d(3, width, patch, patch, bias=False)
        self.position_embedding = nn.Embedding(grid[0] * grid[1] + 1, width)
        self.patch = patch

    def forward(self, pixel_values: torch.Tensor, **_: object) -> torch.Tensor:
        """(n, 3, height, width) to (n, patches + 1, d); of films, frame after frame."""
        weight = self.patch_embedding.weight.reshape(-1, 3, self.patch, self.patch)
        patches = functional.conv2d(pixel_values, weight, stride=self.patch).flatten(2).transpose(1, 2)
        class_tokens = self.class_embedding.reshape(-1, 1, self.class_embedding.shape[-1])
        tokens = torch.cat([class_tokens.repeat(len(patches) // len(class_tokens), 1, 1), patches], dim=1)
        return tokens + self.position_embedding.weight


class TemporalEncoderLayer(CLIPEncoderLayer):
    """A layer of CLIP behind attention over time: each place of a frame looks at the same place of the others."""

    def __init__(self, config: CLIPVisionConfig, frames: int) -> None:
        super().__init__(config)
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, config.hidden_size))
        self.temporal_attn = CLIPAttention(config)
        self.temporal_layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        """(n * frames, tokens, d) to the same, in whatever wrapping this version of transformers has."""
        frames, tokens = self.temporal_embedding.shape[1], hidden_states.shape[1]
        # (film, frame, token, d) to sequences of frames and back.
        frame_sequences = hidden_states.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        if frames > 1:
            frame_sequences = frame_sequences + self.temporal_embedding
        frame_sequences = frame_sequences + self.temporal_attn(self.temporal_layer_norm1(frame_sequences))[0]
        token_sequences = frame_sequences.unflatten(0, (-1, tokens)).transpose(1, 2).flatten(0, 1)
        return super().forward(token_sequences, *arguments, **options)


class ClipVisionTower(nn.Module):
    """Inputs to features, not of norm 1; of a film, from the mean of what its frames give."""

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.vision_model = model.vision_model
        self.visual_projection = model.visual_projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, height, width), or (n, frames, 3, height, width) of films, to (n, d)."""
        pooled = self.vision_model(pixel_values=pixels.flatten(0, -4)).pooler_output
        if pixels.ndim == 5:
            pooled = pooled.unflatten(0, pixels.shape[:2]).mean(1)
        return self.visual_projection(pooled)


def build_vision_tower(checkpoint: Checkpoint, size: tuple[int, int], frames: int = 0) -> ClipVisionTower:
    """The network of a checkpoint with its weights.

    Args:
        checkpoint: opened for `VISION`.
        sides: height and width of inputs.
        frames: of a film; 0 for all else.

    Raises:
        BadInput: the configuration lacks a key, or makes no network.
        WeightsMismatch: names or shapes of tensors differ from what the configuration says; the first few are named.
    """
    section = checkpoint.read_section("vision_config")
    sizes = {key: section.read_count(key) for key in REQUIRED}
    has_frame_tokens = _has_frame_class_tokens(section)
    config = build_clip_config(CLIPVisionConfig, section, {**sizes, "projection_dim": checkpoint.space.dim})
    try:
        # Without memory or random numbers, which loading would throw away.
        with torch.device("meta"):
            model = CLIPVisionModelWithProjection(config)
            width, patch = sizes["hidden_size"], sizes["patch_size"]
            grid = (size[0] // patch, size[1] // patch)
            patches = PatchEmbeddings(width, patch, grid, frames if has_frame_tokens else 0)
            model.vision_model.embeddings = patches  # pyright: ignore[reportAttributeAccessIssue]
            if frames and section.values.get("add_time_attn"):
                layers = [TemporalEncoderLayer(config, frames) for _ in model.vision_model.encoder.layers]
                model.vision_model.encoder.layers = nn.ModuleList(layers)
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{section.path}: {section.name} makes no network: {reason}") from error
    module = ClipVisionTower(model)
    load_tower(module, checkpoint)
    return module


def _has_frame_class_tokens(section: ConfigSection) -> bool:
    """Whether each frame has its own; such checkpoints could also see several frames in a patch, and none does."""
    if section.values.get("clip_type") != "vl_new":
        return False
    if section.read_count("tube_size", 1) != 1:
        raise BadInput(f"{section.path}: {section.name}.tube_size is {section.values['tube_size']}; only 1 is known")
    return True


def build_clip_config(config_class: type[Config], section: ConfigSection, sizes: Mapping[str, object]) -> Config:
    """A configuration of transformers' CLIP from a table of `config.json`; raises `BadInput` where it is none."""
    optional = {key: section.values[key] for key in OPTIONAL if key in section.values}
    return config_class(**sizes, **optional, attn_implementation="sdpa")  # pyright: ignore[reportCallIssue, reportArgumentType]


def load_tower(module: nn.Module, checkpoint: Checkpoint) -> None:
    """Give a module without memory the tensors of a tower; raises `WeightsMismatch` unless they fit exactly."""
    tensors.check_state(checkpoint.path, checkpoint.tower, module.state_dict())
    module.load_state_dict(checkpoint.tower, assign=True)
