"""Training by InfoNCE: the loss against a plain loop, seeds, and early stopping."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption
from anybind_adapters.contrastive import TrainingSettings, apply_layers, info_nce, train_layers

SHORT = {"temperature": 0.07, "lr": 1e-2, "epochs": 6, "batch_size": 16, "patience": 6}


def compute_info_nce(mapped, targets, groups, temperature):
    """Compute both directions pair by pair, in float64."""
    n = len(groups)
    normalised = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    total = 0.0
    for i in range(n):
        candidates = [j for j in range(n) if j == i or groups[j] != groups[i]]
        for first, second in ((normalised, targets), (targets, normalised)):
            cosines = [float(first[i] @ second[j]) / temperature for j in candidates]
            total += math.log(sum(math.exp(c) for c in cosines)) - float(first[i] @ second[i]) / temperature
    return total / (2 * n)


@settings(max_examples=40)
@given(n=st.integers(2, 12), n_groups=st.integers(1, 12), temperature=st.floats(0.05, 2), seed=st.integers(0, 999))
def test_info_nce_equals_a_plain_loop_without_negatives_of_the_same_group(n, n_groups, temperature, seed):
    random = np.random.default_rng(seed)
    mapped, targets = random.normal(size=(n, 5)), anybind.normalize(random.normal(size=(n, 5))).astype(np.float64)
    groups = random.integers(0, n_groups, n)
    loss = info_nce(torch.from_numpy(mapped), torch.from_numpy(targets), torch.from_numpy(groups), temperature)
    assert float(loss) == pytest.approx(compute_info_nce(mapped, targets, groups, temperature), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_seed_determines_the_weights(make_pairs, hidden):
    source, target = make_pairs()

    def run(seed):
        state, _ = train_layers(source.vectors, target.vectors, np.arange(60), TrainingSettings(seed, **SHORT), hidden)
        return torch.cat([tensor.flatten() for tensor in state.values()])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_validation_loss_does_not_increase(make_pairs, hidden):
    source, target = make_pairs(noise=0.5)
    for lr in (1e-2, 30.0):
        training = TrainingSettings(0, **{**SHORT, "lr": lr})
        state, outcome = train_layers(source.vectors, target.vectors, np.arange(60), training, hidden)
        initial, best = outcome["losses"]
        assert best <= initial
        assert (outcome["best_epoch"] > 0) == (best < initial)
        assert torch.isfinite(apply_layers(state, torch.tensor(source.vectors))).all()
    assert outcome["best_epoch"] == 0  # steps this large increase the loss


def test_training_stops_early_without_improvement(make_pairs, monkeypatch):
    source, target = make_pairs(noise=0.5)
    steps = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: steps.append(1))  # no update
    training = TrainingSettings(0, **{**SHORT, "epochs": 40, "patience": 2, "batch_size": 64})
    _, outcome = train_layers(source.vectors, target.vectors, np.arange(60), training)
    assert outcome["best_epoch"] == 0
    assert len(steps) == 2


def test_a_hidden_layer_fits_a_nonlinear_map():
    random = np.random.default_rng(0)
    x = anybind.normalize(random.normal(size=(600, 3)))
    y = anybind.normalize(np.stack([x[:, 0] * x[:, 1], x[:, 1] * x[:, 2], x[:, 0] ** 2], axis=1) + 1e-3)
    training = TrainingSettings(0, **{**SHORT, "epochs": 40, "batch_size": 64, "patience": 40})
    losses = {hidden: train_layers(x, y, np.arange(600), training, hidden)[1]["losses"][1] for hidden in (0, 64)}
    assert losses[64] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"lr": -1}, {"lr": "fast"}, {"epochs": 0}, {"batch_size": 1}, {"patience": 1.5}]
)
def test_invalid_settings_are_rejected(options):
    with pytest.raises(BadOption, match=f"{next(iter(options))}: expected"):
        TrainingSettings(0, **{**SHORT, **options})
