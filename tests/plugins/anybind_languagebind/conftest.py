"""Small checkpoints with random weights, laid out and named as the published ones are."""

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
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.tokenization_clip import bytes_to_unicode

MERGES = ("t h", "th e</w>", "a n", "an d</w>")
LETTERS = list(bytes_to_unicode().values())
TOKENS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *(merge.replace(" ", "") for merge in MERGES)]
TOKENS += ["<|startoftext|>", "<|endoftext|>"]
SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
TEXT = {**SIZES, "vocab_size": len(TOKENS), "max_position_embeddings": 16, "hidden_act": "gelu"}
VISION = {**SIZES, "patch_size": 7, "image_size": 28, "hidden_act": "gelu", "lora_r": 0}
LORA = {"lora_r": 3, "lora_alpha": 2}
PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "image": ("LanguageBind_Image", {}),
    "thermal": ("LanguageBind_Thermal", LORA),
    "depth": ("LanguageBind_Depth", {"max_depth": 10, **LORA}),
    "sound": (
        "LanguageBind_Audio_FT",
        {"num_mel_bins": 21, "target_length": 50, "audio_mean": -3.0, "audio_std": 2.0, "image_size": [21, 50], **LORA},
    ),
    "video": ("LanguageBind_Video_FT", {"num_frames": 4, "add_time_attn": True, "image_size": [28, 28]}),
}
"""Of each modality: its checkpoint, and what its configuration says besides sizes."""

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def make_checkpoint() -> MakeCheckpoint:
    """Write a checkpoint folder: `make(parent, "sound")`; `change` may alter its tensors and its vision settings."""

    def make(
        parent: Path,
        part: str,
        change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any] | None = None,
        *,
        text_seed: int = 0,
        safetensors: bool = True,
    ) -> Path:
        name, settings = PARTS[part]
        vision = {**VISION, **settings}
        config = {"text_config": dict(TEXT), "vision_config": vision, "projection_dim": 24}
        state = _random_state(config, part, text_seed)
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


def _random_state(config: dict[str, Any], part: str, text_seed: int) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint: transformers and peft give most of the names, LanguageBind's own are written out."""
    vision = config["vision_config"]
    clip = _reference_clip(config)
    if vision["lora_r"]:
        _add_lora(clip, vision)
    state = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    for name in list(state):
        if part == "video" and name.endswith("layer_norm1.bias") and name.startswith("vision_model"):
            layer = name.removesuffix("layer_norm1.bias")
            state[f"{layer}temporal_embedding"] = torch.empty(1, vision["num_frames"], SIZES["hidden_size"])
            for each in ("q_proj", "k_proj", "v_proj", "out_proj"):
                for kind in ("weight", "bias"):
                    state[f"{layer}temporal_attn.{each}.{kind}"] = state[f"{layer}self_attn.{each}.{kind}"].clone()
            for kind in ("weight", "bias"):
                state[f"{layer}temporal_layer_norm1.{kind}"] = state[f"{layer}layer_norm1.{kind}"].clone()
    if part == "sound":
        places = 1 + (vision["num_mel_bins"] // 7) * (vision["target_length"] // 7)
        state["vision_model.embeddings.position_embedding.weight"] = torch.empty(places, SIZES["hidden_size"])
    for name, tensor in sorted(state.items()):
        of_text = name.startswith("text")
        random = torch.Generator().manual_seed(_hash_of(name) + (text_seed if of_text else 0))
        spread = 0.2 if tensor.ndim < 2 else 1.5 * tensor[0].numel() ** -0.5
        state[name] = torch.randn(tensor.shape, generator=random) * spread + float("norm" in name and "weight" in name)
    state["logit_scale"] = torch.tensor(2.5)
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]  # as old versions of transformers saved
    return state


def _hash_of(name: str) -> int:
    """A seed from a name, the same in every process."""
    return sum(place * ord(letter) for place, letter in enumerate(name, start=1))


def _reference_clip(config: dict[str, Any]) -> Any:
    """transformers' CLIP of these sizes, for squares."""
    vision = {key: config["vision_config"][key] for key in (*SIZES, "patch_size", "hidden_act")}
    made = CLIPConfig(
        text_config={**TEXT, "eos_token_id": len(TOKENS) - 1},
        vision_config={**vision, "image_size": 28},
        projection_dim=24,
    )
    return CLIPModel(made).eval()


def _described(folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Configuration and tensors of a checkpoint, without what transformers no longer keeps."""
    state = load_file(folder / "model.safetensors")
    del state["vision_model.embeddings.position_ids"]
    return json.loads((folder / "config.json").read_text()), state


def _add_lora(clip: Any, settings: dict[str, Any]) -> None:
    """Wrap the layers of the vision tower as the published checkpoints have them."""
    lora = peft.LoraConfig(
        r=settings["lora_r"],
        lora_alpha=settings["lora_alpha"],
        target_modules=["q_proj", "k_proj", "v_proj", "out_proj"],
    )
    clip.vision_model.encoder = peft.get_peft_model(clip.vision_model.encoder, lora).eval()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: MakeCheckpoint) -> Path:
    """A folder with a checkpoint of every kind; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("models")
    for part in PARTS:
        make_checkpoint(folder, part)
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Random pictures, smaller and larger than the towers' input, wide and high."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((28, 28), (90, 41), (13, 20), (60, 60))]


@pytest.fixture(scope="session")
def described() -> Callable[[Path], tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """Read a checkpoint's configuration and tensors."""
    return _described


@pytest.fixture(scope="session")
def reference_clip() -> Callable[[dict[str, Any]], Any]:
    """Make transformers' CLIP from a checkpoint's configuration."""
    return _reference_clip


@pytest.fixture(scope="session")
def add_lora() -> Callable[[Any, dict[str, Any]], None]:
    """Wrap the layers of a CLIP's vision tower by peft."""
    return _add_lora
