"""EST's learned kernel: its start, its parameter count, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import anybind
from anybind.errors import BadOption
from anybind.plugin import create_part
from anybind_baselines.learned_kernel import LearnedKernel, SpikeTensorEncoder
from anybind_events.stream import EventStream


@pytest.fixture
def encoder(clip) -> SpikeTensorEncoder:
    return SpikeTensorEncoder(anybind.load(clip).encoder("image"))


def test_the_kernel_has_two_hidden_layers_of_30_units():
    kernel = LearnedKernel(1 / 8)
    assert [layer.out_features for layer in (kernel.first, kernel.second, kernel.last)] == [30, 30, 1]
    assert sum(parameter.numel() for parameter in kernel.parameters()) == 60 + 930 + 31 == 1021


@pytest.mark.parametrize("step", [1.0, 1 / 8])
def test_the_kernel_starts_as_the_trilinear_one(step):
    times = torch.linspace(-1, 1, 401, dtype=torch.float64)
    kernel = LearnedKernel(step).double()
    torch.testing.assert_close(kernel(times), (1 - times.abs() / step).clamp(min=0), rtol=0, atol=1e-6)


def test_the_tensor_starts_as_the_representation_est(encoder):
    random = np.random.default_rng(0)
    x, y, t = random.integers(0, 32, 500), random.integers(0, 32, 500), np.sort(random.integers(0, 9999, 500))
    stream = EventStream(x, y, t, random.random(500) < 0.5, 32, 32)
    tensor = encoder.module.compute_tensor(encoder.collate([encoder.preprocess(stream)] * 2))  # pyright: ignore[reportCallIssue]
    expected = create_part("representation", "est")(stream)
    np.testing.assert_allclose(tensor[1].detach().numpy(), expected, atol=1e-4)


def test_an_untrained_encoder_sees_a_gray_image_of_event_times(encoder, clip, streams):
    frames = [create_part("representation", "est")(stream).sum(axis=0) for stream in streams]
    inputs = [encoder.preprocess(stream) for stream in streams]
    assert encoder.encode(inputs).shape == (4, 16)
    assert all(frame.max() > 0 for frame in frames)
    together, alone = encoder.encode(inputs), np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_kernel_has_a_gradient(encoder, streams):
    features = encoder.features(encoder.collate([encoder.preprocess(stream) for stream in streams]))
    features.square().sum().backward()
    assert encoder.module.kernel.last.weight.grad.abs().max() > 0  # pyright: ignore[reportAttributeAccessIssue]
    assert encoder.module.channels.weight.grad.abs().max() > 0  # pyright: ignore[reportAttributeAccessIssue]


def test_a_recording_without_events_is_finite(encoder):
    none = np.zeros(0, np.int64)
    assert np.isfinite(encoder.encode([encoder.preprocess(EventStream(none, none, none, none, 8, 8))])).all()


@pytest.mark.parametrize("options", [{"bins": 1}, {"size": -1}])
def test_an_invalid_option_is_an_error(clip, options):
    with pytest.raises(BadOption, match=next(iter(options))):
        SpikeTensorEncoder(anybind.load(clip).encoder("image"), **options)
