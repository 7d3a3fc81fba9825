"""`as_sentence_transformer`: the embeddings of a binding through `SentenceTransformer.encode`."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

import anybind
from anybind.plugin import BadInput, BadOption, modalities
from anybind_sentence_transformers import as_sentence_transformer

from .conftest import measure_cosines


@pytest.fixture(scope="module")
def binder():
    return anybind.load("mini")


@pytest.fixture(scope="module")
def model(binder):
    return as_sentence_transformer(binder)


@pytest.fixture(scope="module")
def samples():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    wave = np.sin(np.arange(32_000) * 0.05).astype(np.float32)
    event = anybind.derive("event", image, source="image", seed=0)
    sound = modalities.make_sample("sound", wave[None], 16_000)
    depth = modalities.make_sample("depth", np.linspace(1, 4, 48 * 64, dtype=np.float32).reshape(48, 64))
    return {"text": "a rubber duck", "image": image, "event": event, "sound": sound, "depth": depth}


def test_mini_embeds_every_modality_alone_and_in_one_batch(binder, model, samples):
    assert model.modalities == ["text", "image", "event", "depth", "audio"]
    assert model.get_embedding_dimension() == 384
    expected = np.concatenate([binder.embed(name, [sample]).vectors for name, sample in samples.items()])
    alone = np.concatenate([model.encode([{name: sample}]) for name, sample in samples.items()])
    assert measure_cosines(expected, alone) == pytest.approx(1, abs=1e-6)
    together = model.encode([{name: sample} for name, sample in samples.items()])
    assert measure_cosines(expected, together) == pytest.approx(1, abs=1e-6)


def test_a_batch_may_mix_the_modalities_that_sentence_transformers_knows(binder, model, samples):
    expected = np.concatenate([binder.embed(name, [samples[name]]).vectors for name in ("text", "image")])
    for image in ({"image": samples["image"]}, PIL.Image.fromarray(samples["image"])):
        assert measure_cosines(expected, model.encode([samples["text"], image])) == pytest.approx(1, abs=1e-6)


def test_samples_and_the_inputs_of_sentence_transformers_need_no_names(binder, model, samples):
    for name in ("event", "sound", "depth", "text"):
        vector = model.encode(samples[name])
        assert measure_cosines(binder.embed(name, [samples[name]]).vectors, vector[None]) == pytest.approx(1, abs=1e-6)
    image = binder.embed("image", [samples["image"]]).vectors
    assert measure_cosines(image, model.encode([PIL.Image.fromarray(samples["image"])])) == pytest.approx(1, abs=1e-6)
    audio = {"array": samples["sound"].samples[0], "sampling_rate": 16_000}
    sound = binder.embed("sound", [samples["sound"]]).vectors
    assert measure_cosines(sound, model.encode([audio])) == pytest.approx(1, abs=1e-6)


def test_files_by_path(binder, model, samples, tmp_path):
    anybind.write(samples["event"], tmp_path / "a.npz")
    PIL.Image.fromarray(samples["image"]).save(tmp_path / "a.png")
    paths = [str(tmp_path / "a.png"), {"event": str(tmp_path / "a.npz")}]
    expected = np.concatenate([binder.embed(name, [samples[name]]).vectors for name in ("image", "event")])
    assert measure_cosines(expected, model.encode(paths)) == pytest.approx(1, abs=1e-6)


def test_prompts_truncation_and_similarity(binder):
    model = as_sentence_transformer(binder, prompts={"photo": "a photo of "}, truncate_dim=64)
    expected = binder.embed("text", ["a photo of a cat"]).vectors[:, :64]
    assert measure_cosines(expected, model.encode(["a cat"], prompt_name="photo")) == pytest.approx(1, abs=1e-6)
    ours = model.encode(["a cat", "a dog"])
    assert model.similarity(ours, ours)[0, 0].item() == pytest.approx(1, abs=1e-6)


def test_invalid_inputs_are_errors_that_name_the_modalities(model, tmp_path):
    with pytest.raises(BadInput, match="expected an input of text, image, event, depth, audio, got thermal"):
        model.encode([{"thermal": "a.png"}])
    with pytest.raises(BadInput, match="expected one modality in an input, got event, depth"):
        model.encode([{"event": "a", "depth": "b"}])
    with pytest.raises(BadInput, match="expected the modality of a path"):
        model.encode([tmp_path])
    with pytest.raises(BadOption, match="cannot be saved"):
        model.save(str(tmp_path / "saved"))


@pytest.mark.parametrize("dim", [0, -3, True, 1.5, "8"])
def test_another_number_of_dimensions_than_an_integer_above_0_is_refused(binder, dim):
    with pytest.raises(BadOption, match="truncate_dim: expected an integer above 0, got"):
        as_sentence_transformer(binder, truncate_dim=dim)
