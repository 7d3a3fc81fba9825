"""Attention rollout against a float64 reference of the published equations."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional

from anybind import BadInput
from anybind.errors import BadOption
from anybind_explain.attention import compute_attention_relevance, compute_rollout, record_attention
from anybind_explain.pairs import explain_pair
from anybind_explain.words import find_word_spans
from anybind_imagebind.modules import Architecture, PatchTransformer, TextTransformer

TEXT = "a rubber duckling, swimming"


class PlainClip:
    """The small CLIP in plain operations, float64: its cosine similarity, and attention in the autograd graph."""

    def __init__(self, folder: Any) -> None:
        self.weights = {name: each.double() for name, each in load_file(folder / "open_clip_model.safetensors").items()}

    def apply_norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def apply_linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def apply_blocks(self, prefix: str, x: torch.Tensor, causal: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Apply three blocks of two heads; return tokens and attention probabilities, (2, tokens, tokens) each."""
        probabilities = []
        for block in range(3):
            name = f"{prefix}resblocks.{block}"
            y = self.apply_norm(f"{name}.ln_1", x)
            qkv = y @ self.weights[f"{name}.attn.in_proj_weight"].T + self.weights[f"{name}.attn.in_proj_bias"]
            q, k, v = (matrix.reshape(len(x), 2, -1).transpose(0, 1) for matrix in qkv.chunk(3, dim=1))
            logits = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
            if causal:
                logits = torch.where(torch.ones(len(x), len(x)).tril().bool(), logits, -math.inf)
            attention = logits.exp() / logits.exp().sum(-1, keepdim=True)
            probabilities.append(attention if attention.requires_grad else attention.requires_grad_())
            x = x + self.apply_linear(f"{name}.attn.out_proj", (attention @ v).transpose(0, 1).reshape(len(x), -1))
            y = self.apply_linear(f"{name}.mlp.c_fc", self.apply_norm(f"{name}.ln_2", x))
            y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
            x = x + self.apply_linear(f"{name}.mlp.c_proj", y)
        return x, probabilities

    def score_image(self, pixels: torch.Tensor, other: np.ndarray) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the cosine similarity of (3, 64, 64) pixels and a unit vector, and the probabilities."""
        patches = pixels.double().reshape(3, 4, 16, 4, 16).permute(1, 3, 0, 2, 4).reshape(16, -1)
        x = patches @ self.weights["visual.conv1.weight"].reshape(32, -1).T
        x = torch.cat([self.weights["visual.class_embedding"][None], x])
        x = self.apply_norm("visual.ln_pre", x + self.weights["visual.positional_embedding"])
        x, probabilities = self.apply_blocks("visual.transformer.", x, False)
        vector = self.apply_norm("visual.ln_post", x[0]) @ self.weights["visual.proj"]
        return vector @ torch.from_numpy(other) / vector.norm(), probabilities

    def score_text(self, tokens: torch.Tensor, other: np.ndarray) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the cosine similarity of a text's tokens and a unit vector, and the probabilities."""
        x = self.weights["token_embedding.weight"][tokens] + self.weights["positional_embedding"]
        x, probabilities = self.apply_blocks("transformer.", x, True)
        vector = self.apply_norm("ln_final", x[tokens.argmax()]) @ self.weights["text_projection"]
        return vector @ torch.from_numpy(other) / vector.norm(), probabilities


def compute_plain_rollout(
    score: torch.Tensor, probabilities: list[torch.Tensor], row: int, scale: float, first_block: str = "all"
) -> np.ndarray:
    """Compute equations 5 and 6 of the paper for one row, as they are printed."""
    probabilities = probabilities[-1:] if first_block == "last" else probabilities
    relevance = torch.eye(probabilities[0].shape[-1], dtype=torch.float64)
    for attention in probabilities:
        (gradient,) = torch.autograd.grad(scale * score, attention, retain_graph=True)
        relevance = relevance + (gradient * attention).clamp(min=0).mean(dim=0) @ relevance
    return relevance[row].detach().numpy()


def embed_one(binder: Any, modality: str, sample: Any) -> np.ndarray:
    return binder.embed(modality, [sample]).vectors[0].astype(np.float64)


@pytest.mark.parametrize(("scale", "first_block"), [(1.0, "all"), (None, "all"), (100.0, "last"), (0.5, "last")])
def test_the_map_equals_the_published_equations(tiny, model_folder, two_objects, scale, first_block):
    pixels = tiny.encoder("image").preprocess(two_objects)
    score, probabilities = PlainClip(model_folder).score_image(pixels, embed_one(tiny, "text", TEXT))
    explanation = explain_pair(tiny, "image", two_objects, TEXT, scale=scale, first_block=first_block)
    scale = scale or tiny.encoder("image").logit_scale
    assert (explanation.scale, explanation.first_block) == (scale, first_block)
    assert explanation.score == pytest.approx(score.item(), abs=1e-6)
    expected = compute_plain_rollout(score, probabilities, 0, scale, first_block)[1:].reshape(4, 4)
    assert expected.max() > 2 * np.median(expected)  # not a uniform map
    np.testing.assert_allclose(explanation.grid, expected, rtol=1e-4, atol=2e-6 * expected.max())


def test_scale_and_first_block_change_the_shape_of_the_map(tiny, two_objects):
    maps = {
        (scale, first_block): explain_pair(tiny, "image", two_objects, TEXT, scale=scale, first_block=first_block).grid
        for scale in (1.0, 100.0)
        for first_block in ("all", "last")
    }
    shapes = {settings: grid / grid.sum() for settings, grid in maps.items()}
    np.testing.assert_allclose(shapes[1.0, "last"], shapes[100.0, "last"], atol=1e-5)  # one block: linear
    assert np.abs(shapes[1.0, "all"] - shapes[100.0, "all"]).max() > 1e-3
    assert np.abs(shapes[100.0, "all"] - shapes[100.0, "last"]).max() > 1e-3


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_an_impossible_scale_is_refused(tiny, two_objects, scale):
    with pytest.raises(BadOption, match="scale: expected a finite number above 0"):
        explain_pair(tiny, "image", two_objects, TEXT, scale=scale)


def test_an_unknown_first_block_is_refused(tiny, two_objects):
    with pytest.raises(BadOption, match="first_block: expected all or last, got 'first'"):
        explain_pair(tiny, "image", two_objects, TEXT, first_block="first")


def test_word_weights_equal_the_published_equations(tiny, model_folder, two_objects):
    encoder = tiny.encoder("text")
    tokens = encoder.preprocess(TEXT)
    score, probabilities = PlainClip(model_folder).score_text(tokens, embed_one(tiny, "image", two_objects))
    explanation = explain_pair(tiny, "image", two_objects, TEXT)
    rollout = compute_plain_rollout(score, probabilities, int(tokens.argmax()), explanation.scale)
    expected = [rollout[first:last].sum() for _, first, last in find_word_spans(encoder.preprocess, TEXT)]
    assert [each.word for each in explanation.words] == ["a", "rubber", "duckling,", "swimming"]
    np.testing.assert_allclose([each.weight for each in explanation.words], expected, rtol=1e-4)
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
