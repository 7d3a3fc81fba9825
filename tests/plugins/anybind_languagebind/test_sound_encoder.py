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
from anybind_languagebind.inputs import cut_three_windows, find_window_starts
from anybind_languagebind.sound_encoder import LanguageBindSoundEncoder
from anybind_media.sound import Waveform

RATE = 16000


@pytest.fixture(scope="module")
def encoder(models: Path) -> LanguageBindSoundEncoder:
    return LanguageBindSoundEncoder(f"local-dir:{models / 'LanguageBind_Audio_FT'}")


def make_noise(seconds: float, channels: int = 1, rate: int = RATE) -> Waveform:
    random = np.random.default_rng(round(100 * seconds))
    return Waveform(random.uniform(-0.5, 0.5, (channels, round(seconds * rate))).astype(np.float32), rate)


def compute_energies(waveform: Waveform) -> torch.Tensor:
    """Return torchaudio's spectrogram, (21, frames), normalised as in the checkpoint."""
    samples = torch.from_numpy(waveform.samples) - torch.from_numpy(waveform.samples).mean()
    options = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "dither": 0.0}
    fbank = torchaudio.compliance.kaldi.fbank(samples, num_mel_bins=21, sample_frequency=RATE, **options)
    return (fbank.T + 3.0) / 4.0


def test_a_long_recording_gives_start_middle_and_end(encoder):
    waveform = make_noise(2.0)
    spectrogram = compute_energies(waveform)
    starts = (0, 75, spectrogram.shape[1] - 50)  # thirds of 149 positions: 50, 50 and 49
    expected = torch.stack([spectrogram[:, start : start + 50] for start in starts])
    torch.testing.assert_close(encoder.preprocess(waveform), expected, rtol=0, atol=1e-5)


def test_a_short_recording_is_repeated(encoder):
    waveform = make_noise(0.2)
    spectrogram = compute_energies(waveform)
    expected = spectrogram.repeat(1, 3)[:, :50].expand(3, -1, -1)
    torch.testing.assert_close(encoder.preprocess(waveform), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "waveform",
    [make_noise(0.001), make_noise(0.01), make_noise(0.025), Waveform(np.zeros((1, RATE), np.float32), RATE)],
)
def test_silence_and_very_short_recordings_have_an_embedding(encoder, waveform):
    inputs = encoder.preprocess(waveform)
    assert inputs.shape == (3, 21, 50)
    assert torch.isfinite(inputs).all()
    np.testing.assert_allclose(np.linalg.norm(encoder.encode([inputs])), 1, atol=1e-5)


def test_the_first_channel_is_used(encoder):
    waveform = make_noise(1.0, channels=8)
    # The mean of all channels is subtracted first, each frame's own mean later: only rounding differs.
    single = encoder.preprocess(Waveform(waveform.samples[:1], RATE))
    torch.testing.assert_close(encoder.preprocess(waveform), single, rtol=0, atol=1e-4)


def test_other_sample_rates_are_resampled(encoder):
    at_44100 = make_noise(1.0, rate=44100)
    assert torch.equal(encoder.preprocess(at_44100), encoder.preprocess(at_44100.resample(RATE)))


def test_inputs_that_are_not_square_equal_the_reference(models, encoder, read_checkpoint):
    config, state = read_checkpoint(models / "LanguageBind_Audio_FT")
    scale = config["vision_config"]["lora_alpha"] / config["vision_config"]["lora_r"]
    inputs = encoder.preprocess(make_noise(2.0))
    patches = functional.conv2d(inputs[None], state["vision_model.embeddings.patch_embedding.weight"], stride=7)
    tokens = torch.cat([state["vision_model.embeddings.class_embedding"][None], patches[0].flatten(1).T])
    tokens = tokens + state["vision_model.embeddings.position_embedding.weight"]
    hidden = encoder.module.vision_model.pre_layrnorm(tokens[None])
    for number, layer in enumerate(encoder.module.vision_model.encoder.layers):
        name = f"vision_model.encoder.base_model.model.layers.{number}.self_attn.q_proj"
        up, down = (state[f"{name}.lora_{each}.default.weight"] for each in "BA")
        torch.testing.assert_close(
            layer.self_attn.q_proj.weight, state[f"{name}.base_layer.weight"] + scale * up @ down
        )
    hidden = encoder.module.vision_model.encoder(inputs_embeds=hidden)[0]
    pooled = encoder.module.vision_model.post_layernorm(hidden[:, 0])
    expected = functional.normalize(encoder.module.visual_projection(pooled)).detach().numpy()
    np.testing.assert_allclose(encoder.encode([inputs]), expected, atol=1e-6)


def test_embeddings_do_not_depend_on_the_batch(encoder):
    inputs = [encoder.preprocess(make_noise(seconds)) for seconds in (0.1, 0.6, 1.5)]
    single = np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(encoder.encode(inputs), single, atol=1e-5)


@hypothesis.given(st.integers(1, 200), st.integers(1, 60))
def test_windows_are_cut_from_the_repeated_spectrogram(length, frames):
    energies = np.arange(length, dtype=np.float32)[None]
    windows = cut_three_windows(energies, frames)
    assert windows.shape == (3, 1, frames)
    for window in windows[:, 0]:
        assert (window == (window[0] + np.arange(frames)) % length).all()
    assert windows[0, 0, 0] == 0
    assert length < frames or windows[1, 0, 0] <= max(0, length - frames)
    if length - frames >= 2:
        assert windows[2, 0, -1] == length - 1


@hypothesis.given(st.integers(1, 5000))
def test_each_window_starts_in_its_own_third(n_positions):
    front, middle, back = np.array_split(range(n_positions), 3)
    for start, third in zip(find_window_starts(n_positions), (front, middle, back), strict=True):
        assert start in third or (start == 0 and not len(third))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_mel_bins", 0.0, "num_mel_bins: expected an integer above 0, got 0.0"),
        ("num_mel_bins", 6, "expected a spectrogram of at least 7 x 7"),
        ("target_length", "long", "target_length: expected"),
        ("audio_std", 0, "audio_std: expected a number above 0"),
        ("audio_mean", "low", "audio_mean: expected a number, got 'low'"),
        ("audio_sample_rate", -1, "audio_sample_rate: expected"),
    ],
)
def test_invalid_preprocessing_settings_are_an_error(tmp_path, make_checkpoint, key, value, message):
    folder = make_checkpoint(tmp_path, "sound", lambda _, vision: vision.update({key: value}))
    with pytest.raises(BadInput, match=message):
        LanguageBindSoundEncoder(f"local-dir:{folder}")


def test_missing_settings_default_to_the_published_values(tmp_path, make_checkpoint):
    def change(state, vision):
        for key in ("num_mel_bins", "target_length", "audio_mean", "audio_std"):
            del vision[key]
        state["vision_model.embeddings.position_embedding.weight"] = torch.zeros(1 + 16 * 148, 32)

    folder = make_checkpoint(tmp_path, "sound", change)
    assert "audio_mean" not in json.loads((folder / "config.json").read_text())["vision_config"]
    encoder = LanguageBindSoundEncoder(f"local-dir:{folder}")
    assert (encoder.input.mels, encoder.input.frames, encoder.input.mean, encoder.input.std) == (
        112,
        1036,
        -4.2677393,
        4.5689974,
    )
