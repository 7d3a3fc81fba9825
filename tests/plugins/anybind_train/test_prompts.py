"""Learned prompts: the start of the context, and training of weights and context together."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load_file

import anybind
from anybind_train.prompts import PromptedText

JOINT = ("modality=image", "student.options={}", "teacher=", 'losses=[{"use":"prediction"}]', "student.method=joint")


def test_a_context_starts_as_its_words(world):
    text = anybind.find_binding(world.binding).encoders["text"]
    prompted = PromptedText(use=text.name, options=text.options, start="a photo of a")
    assert prompted.context_length == 4
    names = ["cat", "dog"]
    expected = prompted.text_encoder.encode(
        [prompted.text_encoder.preprocess(f"a photo of a {name}") for name in names]
    )
    vectors = prompted.encode([prompted.preprocess(name) for name in names])
    np.testing.assert_allclose(vectors, expected, atol=0.05)  # the noise of the start
    words = PromptedText(use=text.name, options=text.options, context=4)
    assert np.abs(words.encode([words.preprocess(name) for name in names]) - expected).max() > 0.05


def test_joint_training_changes_weights_and_context(train, world, tmp_path):
    overrides = (*JOINT, "student.context_start=a photo of a", "probe.every=8")
    finished = train(*overrides, output=tmp_path / "run")
    context = load_file(tmp_path / "run" / "last-text.safetensors")["vectors"]
    assert context.shape == (4, 32)
    start = anybind.load(world.binding)
    text = anybind.find_binding(world.binding).encoders["text"]
    torch.manual_seed(0)
    untrained = PromptedText(use=text.name, options=text.options, start="a photo of a").module.get_parameter("vectors")
    assert (context - untrained).abs().max() > 0.01
    module = start.encoder("image").module  # pyright: ignore[reportAttributeAccessIssue]
    weights = finished.load_weights()
    assert any(not torch.equal(weights[name], each) for name, each in module.state_dict().items())


def test_only_the_named_weights_are_trained_beside_the_context(train, world, tmp_path):
    finished = train(*JOINT, 'student.train=["visual.proj"]', "probe.every=8", output=tmp_path / "run")
    module = anybind.load(world.binding).encoder("image").module  # pyright: ignore[reportAttributeAccessIssue]
    weights = finished.load_weights()
    changed = [name for name, each in module.state_dict().items() if not torch.equal(weights[name], each)]
    assert changed == ["visual.proj"]
