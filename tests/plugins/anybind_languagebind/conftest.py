"""Small checkpoints with random weights in the layout of the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import CLIPConfig, CLIPModel

MERGES = ("t h", "th e</w>", "a n", "an d</w>")
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *(merge.replace(" ", "") for merge in MERGES)]
TOKENS += ["<|startoftext|>", "<|endoftext|>"]
SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
TEXT = {**SIZES, "vocab_size": len(TOKENS), "max_position_embeddings": 16, "hidden_act": "gelu"}
VISION = {**SIZES, "patch_size": 7, "image_size": 28, "hidden_act": "gelu", "lora_r": 0}
LORA = {"lora_r": 3, "lora_alpha": 2}
CHECKPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "image": ("LanguageBind_Image", {}),
    "thermal": ("LanguageBind_Thermal", LORA),
    "depth": ("LanguageBind_Depth", {"max_depth": 10, **LORA}),
    "sound": (
        "LanguageBind_Audio_FT",
        {"num_mel_bins": 21, "target_length": 50, "audio_mean": -3.0, "audio_std": 2.0, "image_size": [21, 50], **LORA},
    ),
    "video": ("LanguageBind_Video_FT", {"num_frames": 4, "add_time_attn": True, "image_size": [28, 28]}),
}
"""Checkpoint name and additional configuration of each modality."""

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def make_checkpoint() -> MakeCheckpoint:
    """Return a function that writes a checkpoint folder; `change` may modify its tensors and vision settings."""

    def make(
        parent: Path,
        modality: str,
        change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any] | None = None,
        *,
        text_seed: int = 0,
        safetensors: bool = True,
    ) -> Path:
        name, settings = CHECKPOINTS[modality]
        vision = {**VISION, **settings}
        config = {"text_config": dict(TEXT), "vision_config": vision, "projection_dim": 24}
        state = _make_random_state(config, modality, text_seed)
        if change is not None:
            change(state, vision)
        folder = parent / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(TOKENS)}))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
        if safetensors:
            save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors")
        else:
            torch.save(state, folder / "pytorch_model.bin")
        return folder

    return make


def _make_random_state(config: dict[str, Any], modality: str, text_seed: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint: most names by transformers and peft, LanguageBind's own written out."""
    vision = config["vision_config"]
    clip = _build_reference_clip(config)
    if vision["lora_r"]:
        _add_lora(clip, vision)
    state = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    for name in list(state):
        if modality == "video" and name.endswith("layer_norm1.bias") and name.startswith("vision_model"):
            layer = name.removesuffix("layer_norm1.bias")
            state[f"{layer}temporal_embedding"] = torch.empty(1, vision["num_frames"], SIZES["hidden_size"])
            for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                for parameter in ("weight", "bias"):
                    state[f"{layer}temporal_attn.{projection}.{parameter}"] = state[
                        f"{layer}self_attn.{projection}.{parameter}"
                    ].clone()
            for parameter in ("weight", "bias"):
                state[f"{layer}temporal_layer_norm1.{parameter}"] = state[f"{layer}layer_norm1.{parameter}"].clone()
    if modality == "sound":
        n_positions = 1 + (vision["num_mel_bins"] // 7) * (vision["target_length"] // 7)
        state["vision_model.embeddings.position_embedding.weight"] = torch.empty(n_positions, SIZES["hidden_size"])
    for name, tensor in sorted(state.items()):
        is_text = name.startswith("text")
        random = torch.Generator().manual_seed(_hash_name(name) + (text_seed if is_text else 0))
        scale = 0.2 if tensor.ndim < 2 else 1.5 * tensor[0].numel() ** -0.5
        state[name] = torch.randn(tensor.shape, generator=random) * scale + float("norm" in name and "weight" in name)
    state["logit_scale"] = torch.tensor(2.5)
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]  # as old versions of transformers saved
    return state


def _hash_name(name: str) -> int:
    """Return a seed for a name, equal in every process."""
    return sum(position * ord(letter) for position, letter in enumerate(name, start=1))


def _build_reference_clip(config: dict[str, Any]) -> Any:
    """Return transformers' CLIP of these sizes, for square inputs."""
    vision = {key: config["vision_config"][key] for key in (*SIZES, "patch_size", "hidden_act")}
    clip_config = CLIPConfig(
        text_config={**TEXT, "eos_token_id": len(TOKENS) - 1},
        vision_config={**vision, "image_size": 28},
        projection_dim=24,
    )
    return CLIPModel(clip_config).eval()


def _read_checkpoint(folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Return configuration and tensors of a checkpoint, without position indices."""
    state = load_file(folder / "model.safetensors")
    del state["vision_model.embeddings.position_ids"]
    return json.loads((folder / "config.json").read_text()), state


def _add_lora(clip: Any, settings: dict[str, Any]) -> None:
    """Wrap the layers of the image tower by peft, as in the published checkpoints."""
    lora = peft.LoraConfig(
        r=settings["lora_r"],
        lora_alpha=settings["lora_alpha"],
        target_modules=["q_proj", "k_proj", "v_proj", "out_proj"],
    )
    clip.vision_model.encoder = peft.get_peft_model(clip.vision_model.encoder, lora).eval()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: MakeCheckpoint) -> Path:
    """Write a checkpoint of each modality; tests do not modify them."""
    folder = tmp_path_factory.mktemp("models")
    for modality in CHECKPOINTS:
        make_checkpoint(folder, modality)
    return folder


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Return random images, smaller and larger than the input size, landscape and portrait."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((28, 28), (90, 41), (13, 20), (60, 60))]


@pytest.fixture(scope="session")
def read_checkpoint() -> Callable[[Path], tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """Return a function that reads a checkpoint's configuration and tensors."""
    return _read_checkpoint


@pytest.fixture(scope="session")
def build_reference_clip() -> Callable[[dict[str, Any]], Any]:
    """Return a function that builds transformers' CLIP from a checkpoint's configuration."""
    return _build_reference_clip


@pytest.fixture(scope="session")
def add_lora() -> Callable[[Any, dict[str, Any]], None]:
    """Return a function that wraps the layers of a CLIP's image tower by peft."""
    return _add_lora
