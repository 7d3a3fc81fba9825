"""The modules against a float64 NumPy reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from anybind_imagebind.modules import Architecture
from anybind_imagebind.weights import load_module

State = Mapping[str, np.ndarray]
erf = np.vectorize(math.erf)


def apply_layer_norm(x: np.ndarray, state: State, name: str, eps: float) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return (
        centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * state[f"{name}.weight"] + state[f"{name}.bias"]
    )


def apply_attention(
    x: np.ndarray, state: State, name: str, architecture: Architecture, mask: np.ndarray | None
) -> np.ndarray:
    q, k, v = np.split(x @ state[f"{name}.in_proj_weight"].T + state[f"{name}.in_proj_bias"], 3, axis=-1)
    if architecture.is_bound:
        k, v = (np.concatenate([each, state[f"{name}.bias_{suffix}"][0]]) for each, suffix in ((k, "k"), (v, "v")))
    size, mixed = architecture.width // architecture.heads, []
    for head in range(architecture.heads):
        columns = slice(head * size, (head + 1) * size)
        scores = q[:, columns] @ k[:, columns].T / math.sqrt(size) + (0 if mask is None else mask)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed.append(weights / weights.sum(-1, keepdims=True) @ v[:, columns])
    return np.concatenate(mixed, axis=-1) @ state[f"{name}.out_proj.weight"].T + state[f"{name}.out_proj.bias"]


def apply_blocks(x: np.ndarray, state: State, architecture: Architecture, mask: np.ndarray | None = None) -> np.ndarray:
    for number in range(architecture.blocks):
        name = f"modality_trunks.{architecture.key}.blocks.{number}"
        x = x + apply_attention(
            apply_layer_norm(x, state, f"{name}.norm_1", 1e-6), state, f"{name}.attn", architecture, mask
        )
        y = (
            apply_layer_norm(x, state, f"{name}.norm_2", 1e-6) @ state[f"{name}.mlp.fc1.weight"].T
            + state[f"{name}.mlp.fc1.bias"]
        )
        y = y * (1 + erf(y / math.sqrt(2))) / 2
        x = x + y @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]
    return x


def embed_patches(image: np.ndarray, state: State, architecture: Architecture) -> np.ndarray:
    prefix = f"modality_preprocessors.{architecture.key}"
    stem = {"depth": "depth_stem.proj", "vision": "rgbt_stem.proj.1"}.get(architecture.key, "rgbt_stem.proj")
    kernel = state[f"{prefix}.{stem}.weight"]
    if kernel.ndim == 4:
        kernel = kernel[:, :, None]
    height, width = kernel.shape[-2:]
    video = np.repeat(image[:, None], kernel.shape[2], axis=1)
    tokens = [
        np.einsum("dcfhw,cfhw->d", kernel, video[:, :, y : y + height, x : x + width])
        for y in range(0, image.shape[1] - height + 1, architecture.stride)
        for x in range(0, image.shape[2] - width + 1, architecture.stride)
    ]
    x = np.stack(tokens)
    if architecture.is_bound:
        x = apply_layer_norm(x, state, f"{prefix}.{stem.partition('.')[0]}.norm_layer", 1e-5)
    x = np.concatenate([state[f"{prefix}.cls_token"][0], x]) + state[f"{prefix}.pos_embedding_helper.pos_embed"][0]
    if not architecture.is_bound:
        x = apply_layer_norm(x, state, f"modality_trunks.{architecture.key}.pre_transformer_layer.0", 1e-6)
    last = apply_blocks(x, state, architecture)[0]
    return (
        apply_layer_norm(last, state, f"modality_heads.{architecture.key}.0", 1e-6)
        @ state[f"modality_heads.{architecture.key}.2.weight"].T
    )


@pytest.fixture(scope="module")
def state(full_state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in full_state.items()}


@pytest.mark.parametrize(
    ("modality", "shape"), [("sound", (1, 128, 204)), ("depth", (1, 224, 224)), ("image", (3, 224, 224))]
)
def test_patch_features_equal_the_reference(
    modality: str, shape: tuple[int, ...], state: State, weights: str, architectures: Any
) -> None:
    architecture = architectures[modality]
    batch = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    module, _ = load_module(architecture, weights)
    with torch.inference_mode():
        features = module(torch.from_numpy(batch)).numpy()
    expected = np.stack([embed_patches(each.astype(np.float64), state, architecture) for each in batch])
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_text_features_equal_the_reference(state: State, weights: str, architectures: Any) -> None:
    architecture = architectures["text"]
    tokens = np.zeros((2, architecture.tokens), np.int64)
    tokens[0, :4] = 49406, 320, 1929, 49407
    tokens[1, :6] = 49406, 518, 1929, 320, 7, 49407
    module, _ = load_module(architecture, weights)
    with torch.inference_mode():
        features = module(torch.from_numpy(tokens)).numpy()
    negative_infinity = np.full((architecture.tokens, architecture.tokens), -np.inf)
    mask = np.triu(negative_infinity, 1)
    for row, end, vector in zip(tokens, (3, 5), features, strict=True):
        x = state["modality_preprocessors.text.token_embedding.weight"][row]
        x = apply_blocks(x + state["modality_preprocessors.text.pos_embed"][0], state, architecture, mask)[end]
        expected = (
            apply_layer_norm(x, state, "modality_heads.text.proj.0", 1e-6)
            @ state["modality_heads.text.proj.1.weight"].T
        )
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_tokens_after_the_end_token_have_no_effect(weights: str, architectures: Any) -> None:
    module, _ = load_module(architectures["text"], weights)
    tokens = torch.zeros(2, 77, dtype=torch.int64)
    tokens[:, :3] = torch.tensor([49406, 320, 49407])
    tokens[1, 3:] = 42
    with torch.inference_mode():
        one, other = module(tokens)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
