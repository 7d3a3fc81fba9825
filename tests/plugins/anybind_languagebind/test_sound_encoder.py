from __future__ import annotations

import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torchaudio
from torch.nn import functional

from anybind import BadInput
from anybind_languagebind.sound_encoder import LanguageBindSoundEncoder, find_window_starts, cut_three_windows
from anybind_media.sound import Waveform

RATE = 16000


@pytest.fixture(scope="module")
def tower(models: Path) -> LanguageBindSoundEncoder:
    return LanguageBindSoundEncoder(f"local-dir:{models / 'LanguageBind_Audio_FT'}")


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> Waveform:
    random = np.random.default_rng(round(100 * seconds))
    return Waveform(random.uniform(-0.5, 0.5, (channels, round(seconds * rate))).astype(np.float32), rate)


def energies(wave: Waveform) -> torch.Tensor:
    """(21, frames), as torchaudio computes them, standardised as the checkpoint says."""
    samples = torch.from_numpy(wave.samples) - torch.from_numpy(wave.samples).mean()
    options = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "dither": 0.0}
    found = torchaudio.compliance.kaldi.fbank(samples, num_mel_bins=21, sample_frequency=RATE, **options)
    return (found.T + 3.0) / 4.0


def test_a_long_sound_gives_beginning_middle_and_end(tower):
    wave = noise(2.0)
    whole = energies(wave)
    begins = (0, 75, whole.shape[1] - 50)  # of 149 places, the thirds are 50, 50 and 49
    expected = torch.stack([whole[:, start : start + 50] for start in begins])
    torch.testing.assert_close(tower.preprocess(wave), expected, rtol=0, atol=1e-5)


def test_a_short_sound_is_repeated(tower):
    wave = noise(0.2)
    whole = energies(wave)
    expected = whole.repeat(1, 3)[:, :50].expand(3, -1, -1)
    torch.testing.assert_close(tower.preprocess(wave), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "wave", [noise(0.001), noise(0.01), noise(0.025), Waveform(np.zeros((1, RATE), np.float32), RATE)]
)
def test_silence_and_next_to_nothing_have_a_vector(tower, wave):
    prepared = tower.preprocess(wave)
    assert prepared.shape == (3, 21, 50)
    assert torch.isfinite(prepared).all()
    np.testing.assert_allclose(np.linalg.norm(tower.encode([prepared])), 1, atol=1e-5)


def test_the_first_channel_counts(tower):
    wave = noise(1.0, channels=8)
    # The mean of all channels is taken off before, and the frame's own after: what is left is rounding.
    alone = tower.preprocess(Waveform(wave.samples[:1], RATE))
    torch.testing.assert_close(tower.preprocess(wave), alone, rtol=0, atol=1e-4)


def test_other_rates_are_resampled(tower):
    at_44100 = noise(1.0, rate=44100)
    assert torch.equal(tower.preprocess(at_44100), tower.preprocess(at_44100.resample(RATE)))


def test_the_network_sees_inputs_that_are_not_square(models, tower, described):
    config, state = described(models / "LanguageBind_Audio_FT")
    scale = config["vision_config"]["lora_alpha"] / config["vision_config"]["lora_r"]
    prepared = tower.preprocess(noise(2.0))
    patches = functional.conv2d(prepared[None], state["vision_model.embeddings.patch_embedding.weight"], stride=7)
    tokens = torch.cat([state["vision_model.embeddings.class_embedding"][None], patches[0].flatten(1).T])
    tokens = tokens + state["vision_model.embeddings.position_embedding.weight"]
    hidden = tower.module.vision_model.pre_layrnorm(tokens[None])
    for number, layer in enumerate(tower.module.vision_model.encoder.layers):
        name = f"vision_model.encoder.base_model.model.layers.{number}.self_attn.q_proj"
        up, down = (state[f"{name}.lora_{each}.default.weight"] for each in "BA")
        torch.testing.assert_close(
            layer.self_attn.q_proj.weight, state[f"{name}.base_layer.weight"] + scale * up @ down
        )
        hidden = layer(hidden, None, None)[0]
    pooled = tower.module.vision_model.post_layernorm(hidden[:, 0])
    expected = functional.normalize(tower.module.visual_projection(pooled)).detach().numpy()
    np.testing.assert_allclose(tower.encode([prepared]), expected, atol=1e-6)


def test_vectors_do_not_depend_on_the_batch(tower):
    prepared = [tower.preprocess(noise(seconds)) for seconds in (0.1, 0.6, 1.5)]
    alone = np.concatenate([tower.encode([each]) for each in prepared])
    np.testing.assert_allclose(tower.encode(prepared), alone, atol=1e-5)


@hypothesis.given(st.integers(1, 200), st.integers(1, 60))
def test_parts_are_taken_from_the_repeated_energies(length, frames):
    given_energies = np.arange(length, dtype=np.float32)[None]
    parts = cut_three_windows(given_energies, frames)
    assert parts.shape == (3, 1, frames)
    for part in parts[:, 0]:
        assert (part == (part[0] + np.arange(frames)) % length).all()
    assert parts[0, 0, 0] == 0
    assert length < frames or parts[1, 0, 0] <= max(0, length - frames)
    if length - frames >= 2:
        assert parts[2, 0, -1] == length - 1


@hypothesis.given(st.integers(1, 5000))
def test_each_part_begins_in_its_own_third(places):
    front, middle, back = np.array_split(range(places), 3)
    for start, third in zip(find_window_starts(places), (front, middle, back), strict=True):
        assert start in third or (start == 0 and not len(third))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("num_mel_bins", 0.0, "num_mel_bins must be a whole number above 0, got 0.0"),
        ("num_mel_bins", 6, "hold no patch"),
        ("target_length", "long", "target_length must be"),
        ("audio_std", 0, "audio_std must be a number above 0"),
        ("audio_mean", "low", "audio_mean must be a number, got 'low'"),
        ("audio_sample_rate", -1, "audio_sample_rate must be"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(tmp_path, make_checkpoint, key, value, told):
    folder = make_checkpoint(tmp_path, "sound", lambda _, vision: vision.update({key: value}))
    with pytest.raises(BadInput, match=told):
        LanguageBindSoundEncoder(f"local-dir:{folder}")


def test_what_the_configuration_leaves_out_is_as_published(tmp_path, make_checkpoint):
    def change(state, vision):
        for key in ("num_mel_bins", "target_length", "audio_mean", "audio_std"):
            del vision[key]
        state["vision_model.embeddings.position_embedding.weight"] = torch.zeros(1 + 16 * 148, 32)

    folder = make_checkpoint(tmp_path, "sound", change)
    assert "audio_mean" not in json.loads((folder / "config.json").read_text())["vision_config"]
    tower = LanguageBindSoundEncoder(f"local-dir:{folder}")
    assert (tower.mels, tower.frames, tower.mean, tower.std) == (112, 1036, -4.2677393, 4.5689974)
