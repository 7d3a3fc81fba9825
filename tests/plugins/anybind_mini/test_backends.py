"""The encoders of `mini` on ONNX graphs and in torch: the same embeddings and identities."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption, UnsupportedBackend, WeightsMismatch
from anybind.plugin import modalities

pytestmark = pytest.mark.torch

MODALITIES = ("text", "image", "event", "depth", "sound")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def binders():
    return {backend: anybind.load("mini", backend=backend) for backend in ("onnx", "torch")}


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 60), (300, 200), (224, 224))]
    depths = [np.linspace(1, 5, 60 * 80, dtype=np.float32).reshape(60, 80), random.uniform(1, 9, (48, 64))]
    waveforms = [random.normal(0, 0.1, (1, length)).astype(np.float32) for length in (5_000, 16_000, 100_000)]
    return {
        "text": ["a duck", "A photo of a rubber duck, floating.", "éclair", "word " * 200],
        "image": images,
        "event": [anybind.derive("event", image, seed=0) for image in images],
        "depth": [modalities.make_sample("depth", depth.astype(np.float32)) for depth in depths],
        "sound": [modalities.make_sample("sound", waveform, 16_000) for waveform in waveforms],
    }


@pytest.mark.parametrize("modality", MODALITIES)
def test_onnx_and_torch_give_the_same_embeddings_and_identities(binders, samples, modality):
    onnx, torch = (binders[backend].embed(modality, samples[modality]) for backend in ("onnx", "torch"))
    np.testing.assert_allclose(onnx.vectors, torch.vectors, atol=TOLERANCE)
    assert onnx.encoder == torch.encoder
    assert (onnx.space, onnx.logit_scale) == (torch.space, torch.logit_scale)
    first, second = (binders[backend].encoder(modality) for backend in ("onnx", "torch"))
    assert first.reader_options == second.reader_options
    assert first.prompt_templates == second.prompt_templates


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_embedding_does_not_depend_on_its_batch(binders, samples, modality):
    batch = binders["onnx"].embed(modality, samples[modality]).vectors
    single = [binders["onnx"].embed(modality, [sample]).vectors[0] for sample in samples[modality]]
    np.testing.assert_allclose(batch, np.stack(single), atol=1e-5)


def test_a_store_filled_by_one_backend_serves_the_other(samples, tmp_path):
    store = anybind.EmbeddingStore(tmp_path / "store")
    anybind.load("mini", backend="torch", store=store).embed("text", ["a cat", "a dog"])
    binder = anybind.load("mini", backend="onnx", store=store)
    binder.embed("text", ["a cat", "a dog"])
    assert (binder.counts.cached, binder.counts.computed) == (2, 0)


def test_auto_takes_onnx_on_the_cpu_and_torch_for_weights_of_another_network(samples, tmp_path):
    assert type(anybind.load("mini").encoder("event")).__name__ == "OnnxEventEncoder"
    assert type(anybind.load("mini", device="meta").encoder("text")).__name__ == "MiniTextEncoder"


def test_weights_of_a_fine_tuned_copy_run_on_the_same_graph(samples, tmp_path):
    encoder = anybind.load("mini").encoder("event", "torch").copy()
    for parameter in encoder.module.parameters():
        parameter.data.mul_(1.01)
    encoder.save_weights(tmp_path / "tuned.safetensors")
    binding = anybind.Binding.from_toml(write_binding(tmp_path, "tuned.safetensors"))
    onnx, torch = (
        anybind.load(binding, backend=backend).embed("event", samples["event"]) for backend in ("onnx", "torch")
    )
    np.testing.assert_allclose(onnx.vectors, torch.vectors, atol=TOLERANCE)
    assert onnx.encoder == torch.encoder != anybind.load("mini").embed("event", samples["event"]).encoder


def write_binding(folder, weights):
    path = folder / "tuned.toml"
    path.write_text(
        'name = "tuned"\nspace = "efficientnet-lite0"\n[encoders.image]\nuse = "mini-image"\n'
        '[encoders.event]\nuse = "event-encoder"\nimage_encoder = "@image"\nrepresentation = "count-image"\n'
        f'size = 192\nwindows = 3\nweights = "./{weights}"\n',
        encoding="utf-8",
    )
    return path


def test_an_encoder_without_a_graph_is_refused_by_the_backend_onnx():
    with pytest.raises(BadOption, match="got 'onx'; did you mean 'onnx'"):
        anybind.load("mini", backend="onx")
    with pytest.raises(UnsupportedBackend, match="the encoder 'mpnet-text' has no ONNX graph"):
        anybind.load("mini-mpnet", backend="onnx").encoder("text")


def test_a_truncated_weight_file_is_one_line(tmp_path):
    from anybind_mini.models import FOLDER

    path = tmp_path / "sound.safetensors"
    path.write_bytes((FOLDER / "sound.safetensors").read_bytes()[:-100])
    for backend in ("onnx", "torch"):
        with pytest.raises(BadInput, match=r"sound.safetensors: not a readable safetensors file"):
            anybind.load_encoder("mini-sound", backend=backend, weights=str(path)).encoder("sound")


def test_weights_of_another_modality_are_refused(tmp_path):
    from anybind_mini.models import FOLDER

    with pytest.raises(WeightsMismatch, match="holds weights for"):
        anybind.load_encoder("mini-sound", backend="onnx", weights=str(FOLDER / "event.safetensors")).encoder("sound")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import anybind, numpy as np
binder = anybind.load("mini")
for modality in ("text", "image", "event", "depth", "sound"):
    binder.encoder(modality)
image = np.zeros((30, 40, 3), np.uint8)
print(binder.embed("image", [image]) @ binder.embed("text", ["a cat"]))
"""


@pytest.mark.slow
def test_mini_needs_no_torch():
    result = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_backends_agree_on_real_clips_whose_scores_are_tiny(binders, test_data):
    clips = sorted((test_data / "esc10").rglob("1-*.ogg"))[::8]
    onnx, torch = (binders[backend].embed("sound", clips) for backend in ("onnx", "torch"))
    np.testing.assert_allclose(onnx.vectors, torch.vectors, atol=1e-5)
