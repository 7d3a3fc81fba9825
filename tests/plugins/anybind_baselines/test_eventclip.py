"""EventCLIP: views, mean over views, adapters, parameter counts; zero-shot and few-shot from end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import anybind
from anybind import BadInput, Embeddings
from anybind.errors import BadOption
from anybind.plugin import HeadInput, create_part
from anybind_baselines.eventclip_head import EventClipHead, ViewAdapter
from anybind_classification import fit_head
from anybind_events.stream import EventStream
from helpers import replicas


def count_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_similarity_of_views_to_a_text_is_the_mean_over_slices(eventclip, clip, streams):
    texts = ["a sketch image of a cat", "a sketch image of a dog"]
    similarities = eventclip.embed("event", streams).vectors @ eventclip.embed("text", texts).vectors.T
    plain, slices = anybind.load(clip), create_part("representation", "event-slices", views=3, count=400)
    expected = []
    for stream in streams:
        frames = np.rint(255 * slices(stream)).astype(np.uint8)
        images = [np.repeat(frame[..., None], 3, axis=2) for frame in frames]
        expected.append((plain.embed("image", images) @ plain.embed("text", texts)).mean(axis=0))
    np.testing.assert_allclose(similarities, expected, atol=1e-5)


def test_the_first_view_is_of_the_first_events(eventclip, streams):
    """A change of the last events leaves the first view as it is."""
    stream = streams[0]
    x = np.array(stream.x)
    x[600:] = 0
    changed = EventStream(x, stream.y, stream.t, stream.p, stream.width, stream.height)
    first, second = (eventclip.embed("event", [each]).vectors.reshape(3, -1) for each in (stream, changed))
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)
    assert np.abs(first[2] - second[2]).max() > 1e-3


def test_eventclip_works_through_the_adapter_of_mini(streams):
    binder = anybind.load("eventclip:mini,count=400")
    assert binder.space("event") == binder.space("text")
    assert binder.space("event").dim == 2 * 384
    assert np.isfinite(binder.embed("event", streams[:2]) @ binder.embed("text", ["a cat"])).all()


def test_the_published_transformer_has_1_842_432_parameters_for_512_dimensions():
    """In and out 131,328 + 131,584, and twice 789,760 for width 256, 4 heads and a feed-forward part of 1,024."""
    adapter = ViewAdapter(512, width=256, heads=4, layers=2, residual=0.8)
    assert count_parameters(adapter) == 131_328 + 131_584 + 2 * 789_760 == 1_842_432
    assert count_parameters(adapter.transformer.layers[0]) == 789_760


@pytest.mark.parametrize("residual", [0.5, 0.8])
def test_the_residual_is_the_weight_of_the_frozen_views(residual):
    torch.manual_seed(0)
    adapter = ViewAdapter(16, width=8, heads=2, layers=2, residual=residual).double().eval()
    views = torch.nn.functional.normalize(torch.randn(5, 3, 16, dtype=torch.float64), dim=-1)
    changed = adapter.outward(adapter.transformer(adapter.inward(views)))
    mixed = residual * views + (1 - residual) * changed
    torch.testing.assert_close(adapter(views), mixed / mixed.norm(dim=-1, keepdim=True))


def test_the_transformer_equals_pre_norm_attention_in_float64():
    torch.manual_seed(1)
    adapter = ViewAdapter(16, width=8, heads=2, layers=2, residual=0.0).double().eval()
    views = torch.nn.functional.normalize(torch.randn(2, 3, 16, dtype=torch.float64), dim=-1)
    rows = views @ adapter.inward.weight.T + adapter.inward.bias
    for layer in adapter.transformer.layers:
        rows = rows + attend(layer.self_attn, layer.norm1(rows))
        hidden = torch.relu(layer.norm2(rows) @ layer.linear1.weight.T + layer.linear1.bias)
        rows = rows + hidden @ layer.linear2.weight.T + layer.linear2.bias
    expected = rows @ adapter.outward.weight.T + adapter.outward.bias
    torch.testing.assert_close(adapter(views), expected / expected.norm(dim=-1, keepdim=True))


def attend(attention: torch.nn.MultiheadAttention, rows: torch.Tensor) -> torch.Tensor:
    assert attention.in_proj_weight is not None
    projected = (rows @ attention.in_proj_weight.T + attention.in_proj_bias).unflatten(-1, (3, 2, 4))
    queries, keys, values = (each.transpose(1, 2) for each in projected.unbind(2))
    weights = (queries @ keys.transpose(-1, -2) / 2).softmax(-1)  # 4 dimensions a head
    return attention.out_proj((weights @ values).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("adapter", "trained"), [("text", {"texts"}), ("visual", {"adapter"}), ("joint", {"texts", "adapter"})]
)
def test_each_adapter_trains_its_own_part(eventclip, streams, adapter, trained):
    embeddings, labels = eventclip.embed("event", streams), [0, 0, 1, 1]
    names = ["cat", "dog"]
    fitted = []
    for epochs in (1, 5):
        head = EventClipHead(adapter=adapter, views=3, width=8, heads=2, epochs=epochs, lr=1e-2)
        head.prepare(eventclip)
        fitted.append(head.fit(HeadInput({"event": embeddings}), labels, names).tensors)
    changed = {name.partition(".")[0] for name, each in fitted[0].items() if not np.array_equal(each, fitted[1][name])}
    assert changed == trained
    if adapter == "visual":
        texts = eventclip.embed("text", [f"a sketch image of a {name}" for name in names]).vectors[:, :16]
        np.testing.assert_allclose(fitted[0]["texts"], texts * np.sqrt(3), atol=1e-5)


def test_the_head_learns_its_samples_and_is_reproducible(eventclip, streams):
    inputs, labels = HeadInput({"event": eventclip.embed("event", streams)}), [0, 0, 1, 1]
    heads = []
    for _ in range(2):
        head = EventClipHead(views=3, width=16, epochs=60, lr=3e-3)
        head.prepare(eventclip)
        heads.append(head.fit(inputs, labels, ["cat", "dog"]))
    assert heads[0].score(inputs).argmax(axis=1).tolist() == labels
    assert heads[0].identity == heads[1].identity


def test_a_head_without_a_binding_or_with_other_views_is_an_error(eventclip, streams):
    inputs = HeadInput({"event": eventclip.embed("event", streams)})
    with pytest.raises(BadOption, match="call prepare with a binding first"):
        EventClipHead(views=3).fit(inputs, [0, 0, 1, 1], ["cat", "dog"])
    head = EventClipHead(views=5)
    head.prepare(eventclip)
    with pytest.raises(BadInput, match="expected embeddings of 5 views"):
        head.fit(inputs, [0, 0, 1, 1], ["cat", "dog"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"adapter": "image"}, "adapter: expected one of joint, text, visual"),
        ({"residual": 1.5}, "residual: expected a number from 0 to 1"),
        ({"width": 10, "heads": 4}, "width: expected a multiple of 4 heads"),
        ({"views": 0}, "views: expected a whole number above 0"),
        ({"template": "a cat"}, "needs {}"),
        ({"lr": 0}, "lr, scale: expected numbers above 0"),
    ],
)
def test_an_invalid_option_of_the_head_is_an_error_that_names_it(options, named):
    with pytest.raises(BadOption, match=named):
        EventClipHead(**options)


@pytest.mark.parametrize(
    ("argument", "named"),
    [("mini,count=x", "count: expected a whole number"), ("mini,slices=2", "expected the options views, count, size")],
)
def test_an_invalid_binding_argument_is_an_error_that_names_it(argument, named):
    with pytest.raises(BadOption, match=named):
        anybind.find_binding(f"eventclip:{argument}")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"image_encoder": {"use": "mini-text"}}, "image_encoder: expected an encoder of image, got one of text"),
        ({"image_encoder": {"model": "x"}}, "image_encoder: expected one of the binding or a table"),
        ({"image_encoder": {"use": "mini-image"}, "adapters": ["x"]}, "adapters: expected one of the binding"),
        ({"image_encoder": {"use": "mini-image"}, "size": -1}, "size: expected a whole number of pixels"),
        ({"image_encoder": {"use": "mini-image"}, "options": {"views": 0}}, "views: expected at least 1"),
    ],
)
def test_an_invalid_option_of_the_view_encoder_is_an_error_that_names_it(options, named):
    with pytest.raises(BadOption, match=named):
        create_part("encoder", "eventclip-views", **options)


def test_fit_head_and_classify_use_the_views(eventclip, photos, tmp_path, cli, clip):
    head = fit_head(
        photos, head="eventclip", binding=eventclip, modality="event", views=3, width=16, epochs=30, lr=3e-3
    )
    assert isinstance(head, EventClipHead)
    head.save(tmp_path / "head.safetensors")
    outcome = cli(
        "classify", photos / "cat" / "0.png", "--binding", f"eventclip:{clip},count=400,views=3",
        "--modality", "event", "--head", tmp_path / "head.safetensors", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err


def test_embeddings_of_one_view_need_no_slices(clip, streams):
    """The head also adapts the plain event encoder's embeddings."""
    binder = anybind.load(clip)
    head = EventClipHead(views=1, width=8, heads=2, epochs=2)
    head.prepare(binder)
    embeddings: Embeddings = binder.embed("event", streams)
    scores = head.fit(HeadInput({"event": embeddings}), [0, 0, 1, 1], ["cat", "dog"]).score(
        HeadInput({"event": embeddings})
    )
    assert scores.shape == (4, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"method": "eventclip", "head_options": {"width": 16, "epochs": 5}},
        {"method": "full", "epochs": 1, "student": {"train": ["visual.proj"]}},
    ],
    ids=["head", "fine-tuned"],
)
def test_few_shot_on_a_replica(clip, tmp_path, monkeypatch, options):
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    replicas.make_replica("n-mnist", tmp_path)
    dataset = anybind.load_dataset("n-mnist", tmp_path, split="test", classes=["0", "1"])
    binder = anybind.load(f"eventclip:{clip},count=400")
    result = create_part("task", "few-shot", shots=1, **options).run(binder, dataset, modality="event")
    assert result.n > 0
    assert result.details["settings"]["method"] == options["method"]
    trained = result.encoders["event"].partition("~")[0] != binder.identity("event")
    assert trained == (options["method"] == "full")
