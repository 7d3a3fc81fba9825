"""Attention rollout against a float64 reference of the published equations."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from torch.nn import functional

from anybind import BadInput
from anybind_explain.attention import compute_attention_relevance, compute_rollout, record_attention
from anybind_explain.pairs import explain_pair
from anybind_explain.words import find_word_spans
from anybind_imagebind.modules import Architecture, PatchTransformer, TextTransformer

TEXT = "a rubber duckling, swimming"
STEP = 1e-5


class NumpyClip:
    """The small CLIP in NumPy, float64: its cosine similarity as a function of additions to its attention."""

    def __init__(self, folder: Any) -> None:
        state = load_file(folder / "open_clip_model.safetensors")
        self.weights = {name: value.astype(np.float64) for name, value in state.items()}

    def apply_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def apply_linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def apply_blocks(self, prefix: str, x: np.ndarray, causal: bool, added: Any) -> tuple[np.ndarray, np.ndarray]:
        """Apply three blocks of two heads; return tokens and attention probabilities (3, 2, tokens, tokens)."""
        probabilities = []
        for block in range(3):
            name = f"{prefix}resblocks.{block}"
            y = self.apply_norm(f"{name}.ln_1", x)
            qkv = y @ self.weights[f"{name}.attn.in_proj_weight"].T + self.weights[f"{name}.attn.in_proj_bias"]
            q, k, v = (matrix.reshape(len(x), 2, -1).transpose(1, 0, 2) for matrix in np.split(qkv, 3, axis=1))
            logits = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            if causal:
                logits = np.where(np.tri(len(x), dtype=bool), logits, -np.inf)
            layer_probabilities = np.exp(logits - logits.max(-1, keepdims=True))
            layer_probabilities /= layer_probabilities.sum(-1, keepdims=True)
            probabilities.append(layer_probabilities)
            mixed = ((layer_probabilities + added[block]) @ v).transpose(1, 0, 2).reshape(len(x), -1)
            x = x + self.apply_linear(f"{name}.attn.out_proj", mixed)
            y = self.apply_linear(f"{name}.mlp.c_fc", self.apply_norm(f"{name}.ln_2", x))
            y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
            x = x + self.apply_linear(f"{name}.mlp.c_proj", y)
        return x, np.stack(probabilities)

    def score_image(self, pixels: np.ndarray, other: np.ndarray, added: Any) -> tuple[float, np.ndarray]:
        """Return the cosine similarity of (3, 64, 64) pixels and a unit vector, and the probabilities."""
        patches = pixels.reshape(3, 4, 16, 4, 16).transpose(1, 3, 0, 2, 4).reshape(16, -1)
        x = patches @ self.weights["visual.conv1.weight"].reshape(32, -1).T
        x = np.concatenate([self.weights["visual.class_embedding"][None], x])
        x = self.apply_norm("visual.ln_pre", x + self.weights["visual.positional_embedding"])
        x, probabilities = self.apply_blocks("visual.transformer.", x, False, added)
        vector = self.apply_norm("visual.ln_post", x[0]) @ self.weights["visual.proj"]
        return float(vector @ other / np.linalg.norm(vector)), probabilities

    def score_text(self, tokens: np.ndarray, other: np.ndarray, added: Any) -> tuple[float, np.ndarray]:
        """Return the cosine similarity of a text's tokens and a unit vector, and the probabilities."""
        x = self.weights["token_embedding.weight"][tokens] + self.weights["positional_embedding"]
        x, probabilities = self.apply_blocks("transformer.", x, True, added)
        vector = self.apply_norm("ln_final", x[tokens.argmax()]) @ self.weights["text_projection"]
        return float(vector @ other / np.linalg.norm(vector)), probabilities


def compute_reference_rollout(score: Callable[[Any], tuple[float, np.ndarray]], row: int) -> np.ndarray:
    """Compute equations 5 and 6 of the paper for one row, with gradients by central differences."""
    zero = np.zeros(score([0.0] * 3)[1].shape)
    probabilities = score(zero)[1]
    relevance = np.eye(probabilities.shape[-1])
    for block in range(3):
        gradient = np.zeros(probabilities.shape[1:])
        for index in np.ndindex(gradient.shape):
            scores = []
            for step in (STEP, -STEP):
                added = zero.copy()
                added[(block, *index)] = step
                scores.append(score(added)[0])
            gradient[index] = (scores[0] - scores[1]) / (2 * STEP)
        weighted = np.maximum(gradient * probabilities[block], 0).mean(axis=0)
        relevance = relevance + weighted @ relevance
    return relevance[row]


def embed_one(binder: Any, modality: str, sample: Any) -> np.ndarray:
    return binder.embed(modality, [sample]).vectors[0].astype(np.float64)


@pytest.mark.slow
def test_the_map_equals_the_published_equations(tiny, model_folder, two_objects):
    reference, other = NumpyClip(model_folder), embed_one(tiny, "text", TEXT)
    pixels = tiny.encoder("image").preprocess(two_objects).numpy().astype(np.float64)
    explanation = explain_pair(tiny, "image", two_objects, TEXT)
    assert explanation.score == pytest.approx(reference.score_image(pixels, other, [0.0] * 3)[0], abs=1e-5)
    expected = compute_reference_rollout(lambda added: reference.score_image(pixels, other, added), row=0)[1:].reshape(
        4, 4
    )
    assert expected.max() > 2 * np.median(expected)  # not a uniform map
    np.testing.assert_allclose(explanation.grid, expected, rtol=2e-3, atol=1e-6 * expected.max() + 1e-9)


@pytest.mark.slow
def test_word_weights_equal_the_published_equations(tiny, model_folder, two_objects):
    reference, other = NumpyClip(model_folder), embed_one(tiny, "image", two_objects)
    encoder = tiny.encoder("text")
    tokens = encoder.preprocess(TEXT).numpy()
    explanation = explain_pair(tiny, "image", two_objects, TEXT)
    expected = compute_reference_rollout(
        lambda added: reference.score_text(tokens, other, added), row=int(tokens.argmax())
    )
    expected = [expected[first:last].sum() for _, first, last in find_word_spans(encoder.preprocess, TEXT)]
    assert [each.word for each in explanation.words] == ["a", "rubber", "duckling,", "swimming"]
    np.testing.assert_allclose(
        [each.weight for each in explanation.words], expected, rtol=2e-3, atol=1e-6 * max(expected)
    )
    assert sum(each.fraction for each in explanation.words) == pytest.approx(1)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_recorded_pass_returns_the_embedding_and_every_layer(tiny, two_objects, modality, frozen):
    encoder = tiny.encoder(modality).copy()
    encoder.module.requires_grad_(not frozen)
    inputs = encoder.preprocess(two_objects if modality == "image" else TEXT)
    with record_attention() as attentions, torch.enable_grad():
        features = encoder.features(encoder.collate([inputs]))
    vector = functional.normalize(features, dim=1).detach().numpy()
    np.testing.assert_allclose(vector, encoder.encode([inputs]), atol=1e-5)
    assert len(attentions.probabilities) == 3
    for layer_probabilities in attentions.probabilities:
        np.testing.assert_allclose(layer_probabilities.sum(-1).detach().numpy(), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float"])
def test_recorded_attention_equals_torchs(mask, scale):
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 8, generator=random) for _ in range(3))
    keep = torch.rand(5, 5, generator=random) < 0.5
    keep.fill_diagonal_(True)
    masks = {"bool": {"attn_mask": keep}, "float": {"attn_mask": torch.randn(5, 5, generator=random)}}
    options: dict[str, Any] = {"scale": scale, "is_causal": mask == "causal", **masks.get(mask, {})}
    expected = functional.scaled_dot_product_attention(query, key, value, **options)
    with record_attention():
        actual = functional.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(actual, expected)


def test_attention_of_other_threads_and_after_the_block_is_not_recorded():
    before = functional.scaled_dot_product_attention
    sample = torch.randn(1, 2, 4, 8)

    def attend():
        functional.scaled_dot_product_attention(sample, sample, sample)

    with record_attention() as attentions:
        other = threading.Thread(target=attend)
        other.start()
        other.join()
        assert not attentions.probabilities
        attend()
    attend()
    assert len(attentions.probabilities) == 1
    assert functional.scaled_dot_product_attention is before


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 5), st.integers(0, 2))
def test_rollout_equals_the_explicit_recursion(seed, blocks, tokens, extra):
    random = np.random.default_rng(seed)
    probabilities, gradients = random.standard_normal((2, blocks, 2, tokens, tokens + extra))
    relevance = [[float(row == column) for column in range(tokens)] for row in range(tokens)]
    for layer_probabilities, gradient in zip(probabilities, gradients, strict=True):
        relevance = [
            [
                relevance[row][column]
                + sum(
                    sum(max(layer_probabilities[head, row, k] * gradient[head, row, k], 0.0) for head in range(2)) / 2
                    * relevance[k][column]
                    for k in range(tokens)
                )
                for column in range(tokens)
            ]
            for row in range(tokens)
        ]  # fmt: skip
    actual = compute_rollout(list(map(torch.from_numpy, probabilities)), list(map(torch.from_numpy, gradients)))
    np.testing.assert_allclose(actual.numpy(), relevance, rtol=1e-12)
    assert (actual >= torch.eye(tokens)).all()


def test_rollout_without_gradients_is_the_identity():
    probabilities = [torch.rand(2, 4, 4) for _ in range(3)]
    assert torch.equal(
        compute_rollout(probabilities, [torch.zeros_like(each) for each in probabilities]),
        torch.eye(4, dtype=torch.float64),
    )


@pytest.mark.parametrize("is_bound", [False, True])
def test_transformers_of_imagebind_are_supported(is_bound):
    torch.manual_seed(0)
    kernel = (1, 16, 16) if is_bound else (3, 2, 16, 16)
    architecture = Architecture("any", 32, 2, 2, tokens=17, dim=8, kernel=kernel, stride=16, is_bound=is_bound)
    module = PatchTransformer(architecture)
    text_module = TextTransformer(Architecture("text", 32, 2, 2, tokens=7, dim=8, vocabulary=50))
    with torch.no_grad():
        for weight in (*module.parameters(), *text_module.parameters()):
            weight.normal_(0, 0.3)
    for network, batch, length in (
        (module, torch.randn(1, kernel[0], 64, 64), 17),
        (text_module, torch.tensor([[1, 4, 9, 49, 0, 0, 0]]), 7),
    ):
        tokens = compute_attention_relevance(lambda batch, network=network: network(batch)[:, 0], batch)
        assert tokens is not None
        assert tokens.shape == (length,)
        assert (tokens >= 0).all()
        assert tokens.sum() > 0
        assert length == 17 or not tokens[4:].any()  # padding after the end token


class AttentionPooling(torch.nn.Module):
    """Attention pooling over patches, after one block or none."""

    def __init__(self, block: bool) -> None:
        super().__init__()
        self.block = torch.nn.MultiheadAttention(8, 2, batch_first=True) if block else None
        self.pool = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.block is not None:
            tokens = tokens + self.block(tokens, tokens, tokens, need_weights=False)[0]
        return self.pool(tokens[:, :1], tokens, tokens, need_weights=False)[0][:, 0, 0]


def test_attention_pooling_after_blocks_is_an_error():
    tokens = torch.randn(1, 9, 8)
    with pytest.raises(BadInput, match="excludes attention pooling"):
        compute_attention_relevance(AttentionPooling(block=True), tokens)
    assert compute_attention_relevance(AttentionPooling(block=False), tokens) is None
    assert compute_attention_relevance(lambda batch: batch.sum((1, 2)), tokens) is None
