"""The training of a layer: its loss against a plain loop, seeds, and that the best state is what is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption
from anybind_adapters.contrastive import TrainingSettings, info_nce, apply_layers, train_layers

SHORT = {"temperature": 0.07, "lr": 1e-2, "epochs": 6, "batch_size": 16, "patience": 6}


def plain_info_nce(given_, wanted, groups, temperature):
    """Both directions, pair by pair, in float64."""
    n = len(groups)
    a = given_ / np.linalg.norm(given_, axis=1, keepdims=True)
    total = 0.0
    for i in range(n):
        rivals = [j for j in range(n) if j == i or groups[j] != groups[i]]
        for first, second in ((a, wanted), (wanted, a)):
            cosines = [float(first[i] @ second[j]) / temperature for j in rivals]
            total += math.log(sum(math.exp(c) for c in cosines)) - float(first[i] @ second[i]) / temperature
    return total / (2 * n)


@settings(max_examples=40)
@given(n=st.integers(2, 12), kinds=st.integers(1, 12), temperature=st.floats(0.05, 2), seed=st.integers(0, 999))
def test_the_loss_is_that_of_a_plain_loop_and_twins_are_no_rivals(n, kinds, temperature, seed):
    random = np.random.default_rng(seed)
    given_, wanted = random.normal(size=(n, 5)), anybind.normalize(random.normal(size=(n, 5))).astype(np.float64)
    groups = random.integers(0, kinds, n)
    ours = info_nce(torch.from_numpy(given_), torch.from_numpy(wanted), torch.from_numpy(groups), temperature)
    assert float(ours) == pytest.approx(plain_info_nce(given_, wanted, groups, temperature), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(make_pairs, hidden):
    source, target = make_pairs()

    def run(seed):
        state, _ = train_layers(source.vectors, target.vectors, np.arange(60), TrainingSettings(seed, **SHORT), hidden)
        return torch.cat([tensor.flatten() for tensor in state.values()])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("hidden", [0, 4])
def test_training_ends_no_worse_than_it_began_on_the_pairs_left_out(make_pairs, hidden):
    source, target = make_pairs(noise=0.5)
    for lr in (1e-2, 30.0):
        training = TrainingSettings(0, **{**SHORT, "lr": lr})
        state, told = train_layers(source.vectors, target.vectors, np.arange(60), training, hidden)
        first, best = told["losses"]
        assert best <= first
        assert (told["best_epoch"] > 0) == (best < first)
        assert torch.isfinite(apply_layers(state, torch.tensor(source.vectors))).all()
    assert told["best_epoch"] == 0  # such steps only make it worse, so that the start is kept


def test_training_stops_once_nothing_gets_better(make_pairs, monkeypatch):
    source, target = make_pairs(noise=0.5)
    steps = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: steps.append(1))  # nothing moves
    training = TrainingSettings(0, **{**SHORT, "epochs": 40, "patience": 2, "batch_size": 64})
    _, told = train_layers(source.vectors, target.vectors, np.arange(60), training)
    assert told["best_epoch"] == 0
    assert len(steps) == 2


def test_a_network_can_do_what_no_single_layer_can():
    random = np.random.default_rng(0)
    x = anybind.normalize(random.normal(size=(600, 3)))
    y = anybind.normalize(np.stack([x[:, 0] * x[:, 1], x[:, 1] * x[:, 2], x[:, 0] ** 2], axis=1) + 1e-3)
    training = TrainingSettings(0, **{**SHORT, "epochs": 40, "batch_size": 64, "patience": 40})
    losses = {hidden: train_layers(x, y, np.arange(600), training, hidden)[1]["losses"][1] for hidden in (0, 64)}
    assert losses[64] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"lr": -1}, {"lr": "fast"}, {"epochs": 0}, {"batch_size": 1}, {"patience": 1.5}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadOption, match=f"{next(iter(wrong))} must be"):
        TrainingSettings(0, **{**SHORT, **wrong})
