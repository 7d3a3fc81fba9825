"""EventBind: event prompts, joint training with text prompts, the triple alignment loss."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import anybind
from anybind.errors import BadOption
from anybind.plugin import create_part
from anybind_baselines.eventbind import EventBindEncoder, EventBindModule
from anybind_baselines.triple_alignment import TripleAlignmentLoss
from anybind_train import train
from anybind_train.loss import TrainingBatch


def test_without_prompts_an_embedding_is_the_mean_of_the_slices(clip, streams):
    binder = anybind.load(f"eventbind:{clip},count=400,views=3,prompts=0")
    embeddings = binder.embed("event", streams).vectors
    options = {"views": 3, "count": 400, "representation": "red-blue"}
    slices = create_part("representation", "event-slices", **options)
    for stream, vector in zip(streams, embeddings, strict=True):
        frames = np.rint(255 * slices(stream)).astype(np.uint8).reshape(3, 3, 30, 40).transpose(0, 2, 3, 1)
        mean = binder.embed("image", [np.ascontiguousarray(frame) for frame in frames]).vectors.mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_event_prompts_are_tokens_after_the_class_token(eventbind):
    encoder = eventbind.encoder("event")
    assert isinstance(encoder, EventBindEncoder)
    seen = []
    transformer = encoder.module.image.visual.transformer  # pyright: ignore[reportAttributeAccessIssue]
    transformer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    frames = torch.zeros(3, 3, 32, 32)
    encoder.module(frames)
    (tokens,) = seen
    assert tokens.shape == (3, 1 + 4 + 16, 32)  # 16 patches of 8 x 8
    vectors = encoder.module.prompts.vectors  # pyright: ignore[reportAttributeAccessIssue]
    torch.testing.assert_close(tokens[1, 1:5], vectors.detach())


def test_the_published_number_of_prompts_has_12_288_parameters_in_vit_b_32():
    """16 event prompts of width 768."""
    import open_clip

    vision = {"image_size": 32, "layers": 1, "width": 768, "head_width": 64, "patch_size": 32}
    tower = open_clip.CLIP(16, vision, {"layers": 1, "width": 64, "heads": 1}).visual  # pyright: ignore[reportArgumentType]
    module = EventBindModule(tower, prompts=16, views=5)
    assert module.prompts.vectors.shape == (16, 768)
    assert module.prompts.vectors.numel() == 12_288


def test_a_copy_inserts_its_own_prompts(eventbind, streams):
    encoder = eventbind.encoder("event")
    before = eventbind.embed("event", streams).vectors
    twin = encoder.copy()
    with torch.no_grad():
        twin.module.prompts.vectors += torch.randn(twin.module.prompts.vectors.shape)
    inputs = [encoder.preprocess(stream) for stream in streams]
    np.testing.assert_allclose(encoder.encode(inputs), before, atol=1e-6)
    assert np.abs(twin.encode(inputs) - before).max() > 1e-3


def test_the_base_image_encoder_is_unchanged(clip, eventbind):
    image = np.full((32, 32, 3), 90, np.uint8)
    eventbind.encoder("event")
    np.testing.assert_array_equal(
        eventbind.embed("image", [image]).vectors, anybind.load(clip).embed("image", [image]).vectors
    )


def test_prompts_need_a_vision_transformer():
    with pytest.raises(BadOption, match="set prompts = 0"):
        EventBindEncoder(anybind.load("mini").encoder("image", "torch"))


def test_the_triple_alignment_equals_its_equation_in_float64():
    random, n, tau = np.random.default_rng(0), 5, 0.2
    student, teacher, texts = (unit(random.standard_normal((rows, 8))) for rows in (n, n, 3))
    labels = np.array([0, 2, -1, 1, 2])

    def align(queries: np.ndarray, keys: np.ndarray) -> float:
        return -np.mean(np.diag(log_softmax(queries @ keys.T / tau)))

    def classify(rows: np.ndarray) -> float:
        logs = log_softmax(rows @ texts.T / tau)
        return -np.mean([logs[row, label] for row, label in enumerate(labels) if label >= 0])

    expected = (align(student, teacher) + align(teacher, student)) / 2 + 2 * classify(student) + 3 * classify(teacher)
    batch = TrainingBatch(*map(torch.from_numpy, (student, teacher, texts, labels)))
    loss = TripleAlignmentLoss(text=2, image_text=3, temperature=tau)
    assert loss(batch).item() == pytest.approx(expected, rel=1e-12)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_the_triple_alignment_trains_events_and_texts_but_not_images():
    leaves = [torch.randn(4, 8, requires_grad=True) for _ in range(3)]
    student, teacher, texts = (torch.nn.functional.normalize(each, dim=1) for each in leaves)
    batch = TrainingBatch(student, teacher, texts, torch.tensor([0, 1, 2, 3]))
    TripleAlignmentLoss()(batch).backward()
    assert leaves[0].grad is not None
    assert leaves[2].grad is not None
    assert leaves[1].grad is None


@pytest.mark.parametrize("options", [{"image": -1}, {"image": 0, "text": 0, "image_text": 0}, {"temperature": 0}])
def test_an_invalid_option_of_the_loss_is_an_error(options):
    with pytest.raises(BadOption, match="expected a"):
        TripleAlignmentLoss(**options)


@pytest.mark.slow
def test_a_recipe_trains_events_and_prompts_together(clip, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"""
name = "eventbind"
binding = "eventbind:{clip},count=400,views=2,prompts=4"
modality = "event"
teacher = "image"
losses = [{{ use = "triple-alignment", temperature = 0.05 }}]
epochs = 3
batch_size = 6
[student]
method = "joint"
context_start = "a drafted image of a"
[optimiser]
lr = 1e-3
[[data]]
path = "photos"
"""
    )
    result = train(recipe, photos.parent, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    options = {"image_encoder": "@image", "options": {"views": 2, "count": 400}, "prompts": 4}
    base = anybind.find_binding(clip)
    trained = anybind.Binding.configure("eventbind", **options, weights=str(result.weights))
    encoder = anybind.load(anybind.Binding("trained", {**base.encoders, "event": trained})).encoder("event")
    assert encoder.identity == result.encoder
    text = base.encoders["text"]
    weights = str(result.weights.with_name("last-text.safetensors"))
    prompted = anybind.Binding.configure(
        "prompted-text", use=text.name, options=text.options, context=5, weights=weights
    )
    binder = anybind.load(anybind.Binding("prompted", {"text": prompted}))
    plain = anybind.load(clip).embed("text", ["a drafted image of a cat"]).vectors
    assert np.isfinite(binder.embed("text", ["cat"]).vectors).all()
    assert np.abs(binder.embed("text", ["cat"]).vectors - plain).max() > 1e-4
