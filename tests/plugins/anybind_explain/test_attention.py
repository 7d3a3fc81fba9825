"""Roll-out: the published equations, done slowly in float64; what is recorded is what the tower computes."""

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
from anybind_explain.attention import attention_relevance, recorded, roll_out
from anybind_explain.pairs import explain_pair
from anybind_explain.words import word_spans
from anybind_imagebind.modules import Architecture, PatchTransformer, TextTransformer

TEXT = "a rubber duckling, swimming"
STEP = 1e-5


class Plain:
    """The small CLIP in NumPy, float64: its cosine as a function of what is added to its attention."""

    def __init__(self, folder: Any) -> None:
        held = load_file(folder / "open_clip_model.safetensors")
        self.weights = {name: value.astype(np.float64) for name, value in held.items()}

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def blocks(self, prefix: str, x: np.ndarray, causal: bool, added: Any) -> tuple[np.ndarray, np.ndarray]:
        """Through three blocks of two heads: tokens, and the shares of attention (3, 2, tokens, tokens)."""
        shares = []
        for block in range(3):
            name = f"{prefix}resblocks.{block}"
            y = self.norm(f"{name}.ln_1", x)
            qkv = y @ self.weights[f"{name}.attn.in_proj_weight"].T + self.weights[f"{name}.attn.in_proj_bias"]
            q, k, v = (part.reshape(len(x), 2, -1).transpose(1, 0, 2) for part in np.split(qkv, 3, axis=1))
            logits = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            if causal:
                logits = np.where(np.tri(len(x), dtype=bool), logits, -np.inf)
            share = np.exp(logits - logits.max(-1, keepdims=True))
            share /= share.sum(-1, keepdims=True)
            shares.append(share)
            mixed = ((share + added[block]) @ v).transpose(1, 0, 2).reshape(len(x), -1)
            x = x + self.linear(f"{name}.attn.out_proj", mixed)
            y = self.linear(f"{name}.mlp.c_fc", self.norm(f"{name}.ln_2", x))
            y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
            x = x + self.linear(f"{name}.mlp.c_proj", y)
        return x, np.stack(shares)

    def picture(self, pixels: np.ndarray, other: np.ndarray, added: Any) -> tuple[float, np.ndarray]:
        """Cosine of (3, 64, 64) pixels to a unit vector, and the shares."""
        patches = pixels.reshape(3, 4, 16, 4, 16).transpose(1, 3, 0, 2, 4).reshape(16, -1)
        x = patches @ self.weights["visual.conv1.weight"].reshape(32, -1).T
        x = np.concatenate([self.weights["visual.class_embedding"][None], x])
        x = self.norm("visual.ln_pre", x + self.weights["visual.positional_embedding"])
        x, shares = self.blocks("visual.transformer.", x, False, added)
        vector = self.norm("visual.ln_post", x[0]) @ self.weights["visual.proj"]
        return float(vector @ other / np.linalg.norm(vector)), shares

    def words(self, tokens: np.ndarray, other: np.ndarray, added: Any) -> tuple[float, np.ndarray]:
        """Cosine of a text's tokens to a unit vector, and the shares."""
        x = self.weights["token_embedding.weight"][tokens] + self.weights["positional_embedding"]
        x, shares = self.blocks("transformer.", x, True, added)
        vector = self.norm("ln_final", x[tokens.argmax()]) @ self.weights["text_projection"]
        return float(vector @ other / np.linalg.norm(vector)), shares


def slow_roll_out(score: Callable[[Any], tuple[float, np.ndarray]], row: int) -> np.ndarray:
    """Equations 5 and 6 of the paper for one row, with gradients by central differences."""
    zero = np.zeros(score([0.0] * 3)[1].shape)
    shares = score(zero)[1]
    relevance = np.eye(shares.shape[-1])
    for block in range(3):
        gradient = np.zeros(shares.shape[1:])
        for place in np.ndindex(gradient.shape):
            nudged = []
            for step in (STEP, -STEP):
                added = zero.copy()
                added[(block, *place)] = step
                nudged.append(score(added)[0])
            gradient[place] = (nudged[0] - nudged[1]) / (2 * STEP)
        paid = np.maximum(gradient * shares[block], 0).mean(axis=0)
        relevance = relevance + paid @ relevance
    return relevance[row]


def vector_of(binder: Any, modality: str, sample: Any) -> np.ndarray:
    return binder.embed(modality, [sample]).vectors[0].astype(np.float64)


@pytest.mark.slow
def test_the_map_of_a_picture_is_that_of_the_published_equations(tiny, model_folder, two_objects):
    plain, other = Plain(model_folder), vector_of(tiny, "text", TEXT)
    pixels = tiny.encoder("image").preprocess(two_objects).numpy().astype(np.float64)
    found = explain_pair(tiny, "image", two_objects, TEXT)
    assert found.score == pytest.approx(plain.picture(pixels, other, [0.0] * 3)[0], abs=1e-5)
    slow = slow_roll_out(lambda added: plain.picture(pixels, other, added), row=0)[1:].reshape(4, 4)
    assert slow.max() > 2 * np.median(slow)  # so that a map of one value everywhere would not pass
    np.testing.assert_allclose(found.grid, slow, rtol=2e-3, atol=1e-6 * slow.max() + 1e-9)


@pytest.mark.slow
def test_the_weights_of_words_are_those_of_the_published_equations(tiny, model_folder, two_objects):
    plain, other = Plain(model_folder), vector_of(tiny, "image", two_objects)
    tower = tiny.encoder("text")
    tokens = tower.preprocess(TEXT).numpy()
    found = explain_pair(tiny, "image", two_objects, TEXT)
    slow = slow_roll_out(lambda added: plain.words(tokens, other, added), row=int(tokens.argmax()))
    wanted = [slow[first:last].sum() for _, first, last in word_spans(tower.preprocess, TEXT)]
    assert [each.word for each in found.words] == ["a", "rubber", "duckling,", "swimming"]
    np.testing.assert_allclose([each.weight for each in found.words], wanted, rtol=2e-3, atol=1e-6 * max(wanted))
    assert sum(each.share for each in found.words) == pytest.approx(1)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("of", ["image", "text"])
def test_a_recorded_pass_gives_the_embedding_of_the_tower_and_every_block(tiny, two_objects, modality, frozen):
    tower = tiny.encoder(modality).copy()
    tower.module.requires_grad_(not frozen)
    given = tower.preprocess(two_objects if modality == "image" else TEXT)
    with recorded() as found, torch.enable_grad():
        features = tower.features(tower.collate([given]))
    vector = functional.normalize(features, dim=1).detach().numpy()
    np.testing.assert_allclose(vector, tower.encode([given]), atol=1e-5)
    assert len(found.shares) == 3
    for share in found.shares:
        np.testing.assert_allclose(share.sum(-1).detach().numpy(), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float"])
def test_recorded_attention_is_torchs_own(kind, scale):
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 8, generator=random) for _ in range(3))
    keep = torch.rand(5, 5, generator=random) < 0.5
    keep.fill_diagonal_(True)
    masks = {"bool": {"attn_mask": keep}, "float": {"attn_mask": torch.randn(5, 5, generator=random)}}
    options: dict[str, Any] = {"scale": scale, "is_causal": kind == "causal", **masks.get(kind, {})}
    wanted = functional.scaled_dot_product_attention(query, key, value, **options)
    with recorded():
        got = functional.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(got, wanted)


def test_attention_of_other_threads_and_of_later_is_left_alone():
    before = functional.scaled_dot_product_attention
    sample = torch.randn(1, 2, 4, 8)

    def attend():
        functional.scaled_dot_product_attention(sample, sample, sample)

    with recorded() as found:
        other = threading.Thread(target=attend)
        other.start()
        other.join()
        assert not found.shares
        attend()
    attend()
    assert len(found.shares) == 1
    assert functional.scaled_dot_product_attention is before


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 5), st.integers(0, 2))
def test_roll_out_is_the_recursion_written_out(seed, blocks, tokens, extra):
    random = np.random.default_rng(seed)
    shares, gradients = random.standard_normal((2, blocks, 2, tokens, tokens + extra))
    relevance = [[float(row == column) for column in range(tokens)] for row in range(tokens)]
    for share, gradient in zip(shares, gradients, strict=True):
        relevance = [
            [
                relevance[row][column]
                + sum(
                    sum(max(share[head, row, k] * gradient[head, row, k], 0.0) for head in range(2)) / 2
                    * relevance[k][column]
                    for k in range(tokens)
                )
                for column in range(tokens)
            ]
            for row in range(tokens)
        ]  # fmt: skip
    got = roll_out(list(map(torch.from_numpy, shares)), list(map(torch.from_numpy, gradients)))
    np.testing.assert_allclose(got.numpy(), relevance, rtol=1e-12)
    assert (got >= torch.eye(tokens)).all()


def test_scores_that_no_attention_moves_leave_everything_as_it_was():
    shares = [torch.rand(2, 4, 4) for _ in range(3)]
    assert torch.equal(roll_out(shares, [torch.zeros_like(each) for each in shares]), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("joined", [False, True])
def test_transformers_of_another_make_are_explained_too(joined):
    torch.manual_seed(0)
    kernel = (1, 16, 16) if joined else (3, 2, 16, 16)
    of = Architecture("any", 32, 2, 2, tokens=17, dim=8, kernel=kernel, stride=16, is_bound=joined)
    module = PatchTransformer(of)
    words = TextTransformer(Architecture("text", 32, 2, 2, tokens=7, dim=8, vocabulary=50))
    with torch.no_grad():
        for weight in (*module.parameters(), *words.parameters()):
            weight.normal_(0, 0.3)
    for each, batch, length in (
        (module, torch.randn(1, kernel[0], 64, 64), 17),
        (words, torch.tensor([[1, 4, 9, 49, 0, 0, 0]]), 7),
    ):
        found = attention_relevance(lambda given, each=each: each(given)[:, 0], batch)
        assert found is not None
        assert found.shape == (length,)
        assert (found >= 0).all()
        assert found.sum() > 0
        assert length == 17 or not found[4:].any()  # padding, behind the end


class Pooled(torch.nn.Module):
    """Attention of a learned query to the patches, behind one block or none."""

    def __init__(self, block: bool) -> None:
        super().__init__()
        self.block = torch.nn.MultiheadAttention(8, 2, batch_first=True) if block else None
        self.pool = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.block is not None:
            tokens = tokens + self.block(tokens, tokens, tokens, need_weights=False)[0]
        return self.pool(tokens[:, :1], tokens, tokens, need_weights=False)[0][:, 0, 0]


def test_pooling_by_attention_is_refused_behind_blocks_and_none_of_ours_without():
    tokens = torch.randn(1, 9, 8)
    with pytest.raises(BadInput, match="pools by attention"):
        attention_relevance(Pooled(block=True), tokens)
    assert attention_relevance(Pooled(block=False), tokens) is None
    assert attention_relevance(lambda batch: batch.sum((1, 2)), tokens) is None
