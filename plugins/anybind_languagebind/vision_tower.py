"""The image tower, used by all encoders but text: transformers' CLIP, for inputs of any size and for videos."""

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
"""Optional keys of a configuration, with the defaults of OpenAI's CLIP."""


class PatchEmbeddings(nn.Module):
    """Patch embeddings of inputs of any size, with a class token and position embeddings.

    transformers' own class supports squares only. With `frames`, each frame of a video has its own class token, and the
    weights are those of a 3-d convolution of length 1 in time (LanguageBind_Video_V1.5_FT).
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
        """Map (n, 3, height, width) to (n, patches + 1, d); for videos, n counts frames."""
        weight = self.patch_embedding.weight.reshape(-1, 3, self.patch, self.patch)
        patches = functional.conv2d(pixel_values, weight, stride=self.patch).flatten(2).transpose(1, 2)
        class_tokens = self.class_embedding.reshape(-1, 1, self.class_embedding.shape[-1])
        tokens = torch.cat([class_tokens.repeat(patches.shape[0] // class_tokens.shape[0], 1, 1), patches], dim=1)
        return tokens + self.position_embedding.weight


class TemporalEncoderLayer(CLIPEncoderLayer):
    """A CLIP layer preceded by temporal attention between equal positions of a video's frames."""

    def __init__(self, config: CLIPVisionConfig, frames: int) -> None:
        super().__init__(config)
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, config.hidden_size))
        self.temporal_attn = CLIPAttention(config)
        self.temporal_layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        """Map (n * frames, tokens, d) to the same shape, in the return type of the installed transformers."""
        frames, tokens = self.temporal_embedding.shape[1], hidden_states.shape[1]
        # (video, frame, token, d) to sequences over frames and back.
        frame_sequences = hidden_states.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        if frames > 1:
            frame_sequences = frame_sequences + self.temporal_embedding
        frame_sequences = frame_sequences + self.temporal_attn(self.temporal_layer_norm1(frame_sequences))[0]
        token_sequences = frame_sequences.unflatten(0, (-1, tokens)).transpose(1, 2).flatten(0, 1)
        return super().forward(token_sequences, *arguments, **options)


class ClipVisionTower(nn.Module):
    """CLIP's image tower: inputs to features, not normalised; the frames of a video are mean-pooled."""

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.vision_model = model.vision_model
        self.visual_projection = model.visual_projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, height, width), or (n, frames, 3, height, width) for videos, to (n, d)."""
        pooled = self.vision_model(pixel_values=pixels.flatten(0, -4)).pooler_output
        if pixels.ndim == 5:
            pooled = pooled.unflatten(0, pixels.shape[:2]).mean(1)
        return self.visual_projection(pooled)


def build_vision_tower(checkpoint: Checkpoint, size: tuple[int, int], frames: int = 0) -> ClipVisionTower:
    """Build the image tower of a checkpoint with its weights.

    Args:
        checkpoint: loaded with `VISION`.
        size: height and width of inputs.
        frames: frames per video; 0 for other modalities.

    Raises:
        BadInput: the configuration is incomplete or invalid.
        WeightsMismatch: names or shapes of tensors differ from the configuration; the first few are named.
    """
    section = checkpoint.read_section("vision_config")
    sizes = {key: section.read_count(key) for key in REQUIRED}
    has_frame_tokens = _has_frame_class_tokens(section)
    config = build_clip_config(CLIPVisionConfig, section, {**sizes, "projection_dim": checkpoint.space.dim})
    try:
        # On the meta device: loading replaces the weights anyway, so none are initialised.
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
        raise describe_invalid(section, error) from error
    module = ClipVisionTower(model)
    load_tower(module, checkpoint)
    return module


def _has_frame_class_tokens(section: ConfigSection) -> bool:
    """Return whether each frame has its own class token; raise `BadInput` for patches of several frames."""
    if section.values.get("clip_type") != "vl_new":
        return False
    if section.read_count("tube_size", 1) != 1:
        raise BadInput(f"{section.path}: {section.name}.tube_size: expected 1, got {section.values['tube_size']}")
    return True


def build_clip_config(config_class: type[Config], section: ConfigSection, sizes: Mapping[str, object]) -> Config:
    """Build a configuration of transformers' CLIP from a table of `config.json`; raise `BadInput` if it is invalid."""
    optional = {key: section.values[key] for key in OPTIONAL if key in section.values}
    try:
        return config_class(**sizes, **optional, attn_implementation="sdpa")  # pyright: ignore[reportCallIssue, reportArgumentType]
    except Exception as error:  # since version 5 one of huggingface_hub's, of no common base
        raise describe_invalid(section, error) from error


def describe_invalid(section: ConfigSection, error: Exception) -> BadInput:
    """Return the error for a configuration that transformers refuses."""
    reason = " ".join(str(error).split())
    return BadInput(f"{section.path}: {section.name} is not a valid CLIP configuration: {reason}")


def load_tower(module: nn.Module, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's tensors into a module on the meta device; raise `WeightsMismatch` unless they match."""
    tensors.check_state(checkpoint.path, checkpoint.weights, module.state_dict())
    module.load_state_dict(checkpoint.weights, assign=True)
