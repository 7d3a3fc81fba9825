"""The modality `speech`: labels as a grammar, any words, and what is not speech."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anybind
from anybind import BadInput, Binder, Binding
from anybind.errors import BadOption, UnknownName
from anybind_classification import classify
from anybind_media.sound import Waveform
from anybind_speech.examples import make_speech
from anybind_speech.posteriors import LOGIT_SCALE, embed_probabilities

pytest.importorskip("pocketsphinx")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HELD_OUT = ("nicolas", "theo", "yweweler")
"""Speakers on whom no setting was chosen."""


@pytest.fixture(scope="module")
def binder() -> Binder:
    return anybind.load("mini")


def list_clips(test_data: Path, speaker: str, *indices: int) -> list[Path]:
    folder = test_data / "digits" / "speech"
    return [folder / f"{digit}_{speaker}_{index}.wav" for digit in range(10) for index in indices]


@pytest.mark.long
@pytest.mark.slow
def test_spoken_digits_of_new_speakers_are_recognised(binder: Binder, test_data: Path) -> None:
    """The whole measurement, 60 clips of three speakers, is 0.82: this is a part of it."""
    clips = list_clips(test_data, "theo", 0) + list_clips(test_data, "yweweler", 0)
    answers = classify(clips, DIGITS, binding=binder, modality="speech")
    right = [answer.label == DIGITS[int(Path(answer.id).name[0])] for answer in answers]
    assert np.mean(right) >= 0.75
    sound = classify(clips, DIGITS, binding=binder)
    assert np.mean([each.label == DIGITS[int(Path(each.id).name[0])] for each in sound]) < 0.4


def test_the_command_takes_files_of_any_rate_and_channels(cli, test_data: Path, tmp_path: Path) -> None:
    clip = anybind.read(list_clips(test_data, "theo", 1)[3])
    stereo = clip.resample(44_100).samples.repeat(2, axis=0) * np.array([[1.0], [0.2]], np.float32)
    anybind.write(Waveform(stereo, 44_100), tmp_path / "stereo.flac")
    arguments = ("--modality", "speech", "--labels", ",".join(DIGITS), "--json")
    (answer,) = json.loads(cli("classify", tmp_path / "stereo.flac", *arguments).out)["files"]
    assert (answer["modality"], answer["label"]) == ("speech", "three")


def test_other_words_than_the_labels_have_a_lower_probability(binder: Binder, test_data: Path) -> None:
    clips = list_clips(test_data, "theo", 0)
    inside = classify(clips, DIGITS, binding=binder, modality="speech")
    labels = ("elephant", "umbrella", "keyboard", "mountain")
    outside = classify(clips, labels, binding=binder, modality="speech")
    means = [np.mean([answer.scores[0].probability for answer in answers]) for answers in (inside, outside)]
    assert means[0] > means[1] + 0.2


def test_a_clip_has_one_embedding_in_any_order_and_its_labels_are_in_the_identity(binder: Binder) -> None:
    texts = binder.embed("text", DIGITS)
    limited = binder.with_labels(texts)
    clips = [Waveform(make_speech(vowels), 16_000) for vowels in ("aia", "uai", "iua")]
    forward, back = limited.embed("speech", clips), limited.embed("speech", clips[::-1])
    assert np.abs(forward.vectors - back.vectors[::-1]).max() <= 1e-6
    other = binder.with_labels(binder.embed("text", ["yes", "no"]))
    assert len({limited.identity("speech"), other.identity("speech"), binder.identity("speech")}) == 3
    assert limited.encoder("text") is binder.encoder("text")


def test_without_labels_the_recognised_words_are_embedded(binder: Binder) -> None:
    clip = Waveform(make_speech("uai"), 16_000)
    encoder = binder.encoder("speech")
    words = encoder.recogniser.transcribe(clip.samples[0])
    assert words
    expected, actual = binder.embed("text", [words]), binder.embed("speech", [clip])
    assert np.abs(expected.vectors - actual.vectors).max() <= 1e-6


@pytest.mark.parametrize("samples", [np.zeros(16_000), np.random.default_rng(0).normal(0, 0.1, 16_000), np.zeros(100)])
def test_a_recording_without_speech_is_refused(binder: Binder, samples: np.ndarray, tmp_path: Path, cli) -> None:
    with pytest.raises(BadInput, match="no speech in the recording; to embed other sounds"):
        binder.embed("speech", [Waveform(samples.astype(np.float32), 16_000)])
    anybind.write(Waveform(samples.astype(np.float32), 16_000), tmp_path / "a.wav")
    failed = cli("classify", tmp_path / "a.wav", "--modality", "speech", "--labels", "yes,no").error()
    assert "a.wav: no speech" in failed


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["zero", "xyzzyq"], "'xyzzyq' of 'xyzzyq' is not in the pronunciation dictionary"),
        (["zero", "route 66"], "'66' of 'route 66' is not in"),
        (["zero", "<s> | one"], "is not in the pronunciation"),
        (["zero", "..."], "is not in the pronunciation"),
        (["Zero!", "zero"], "the same as another label"),
    ],
)
def test_labels_that_cannot_be_pronounced_are_refused(binder: Binder, labels: list[str], message: str) -> None:
    clip = Waveform(make_speech("aia"), 16_000)
    with pytest.raises(BadOption, match=message.replace("|", r"\|")) as caught:
        binder.with_labels(binder.embed("text", labels)).embed("speech", [clip])
    assert "\n" not in str(caught.value)


def test_labels_of_several_words_and_punctuation_are_accepted(binder: Binder) -> None:
    recogniser = binder.encoder("speech").recogniser
    assert recogniser.check_labels(["Turn left!", "don't stop", "ice-cream"]) == [
        "turn left",
        "don't stop",
        "ice cream",
    ]
    probabilities = recogniser.score_labels(make_speech("aia"), ["turn left", "don't stop"])
    assert probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [2, 10, 40])
def test_an_embedding_has_the_probabilities_as_its_softmax(n: int) -> None:
    random = np.random.default_rng(n)
    common = random.normal(size=64) * 1.5
    texts = anybind.normalize((common + random.normal(size=(n, 64))).astype(np.float32))
    for probabilities in (random.dirichlet(np.ones(n)), np.full(n, 1 / n), np.eye(n)[1]):
        vector = embed_probabilities(probabilities, texts)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        scores = LOGIT_SCALE * (texts.astype(np.float64) @ vector.astype(np.float64))
        softmax = np.exp(scores - scores.max())
        assert np.allclose(softmax / softmax.sum(), np.maximum(probabilities, 1e-4) / np.maximum(probabilities, 1e-4).sum(), atol=1e-3)  # fmt: skip


def test_labels_that_are_nearly_equal_as_texts_still_have_an_embedding_in_their_order() -> None:
    texts = anybind.normalize(np.array([[1, 0, 0], [1, 0.02, 0], [0, 0, 1]], np.float32))
    vector = embed_probabilities(np.array([0.7, 0.01, 0.29]), texts)
    assert np.isfinite(vector).all()
    scores = texts @ vector
    assert scores[0] > scores[1]


def test_any_binding_with_texts_embeds_speech_and_lists_it_nowhere_else(binder: Binder) -> None:
    assert "speech" not in binder.modalities
    textless = Binding("own", {"image": Binding.configure("mini-image")})
    with pytest.raises(UnknownName, match="no encoder for 'speech'"):
        anybind.load(textless).encoder("speech")


def test_an_image_is_still_no_event_without_a_seed(binder: Binder, tmp_path: Path) -> None:
    anybind.write(np.full((40, 40, 3), 90, np.uint8), tmp_path / "a.png")
    with pytest.raises(BadInput, match="holds image, not event; derive_seed=0 derives"):
        binder.embed("event", [tmp_path / "a.png"])
    with pytest.raises(BadInput, match="holds image, not speech; speech cannot be derived from it"):
        binder.embed("speech", [tmp_path / "a.png"])


class StubWhisper:
    """Stands for a Whisper model: the interface of faster-whisper, without weights."""

    def __init__(self, folder: str, **options: Any) -> None:
        assert options == {"device": "cpu", "local_files_only": True}

    def transcribe(self, audio: np.ndarray, **options: Any) -> tuple[list[Any], None]:
        text = " two red apples" if np.abs(audio).max() > 0 else ""
        return [types.SimpleNamespace(text=text)] if text else [], None


def test_a_whisper_folder_gives_the_text(binder: Binder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stub of faster-whisper: no weights are at hand."""
    module = types.ModuleType("faster_whisper")
    module.WhisperModel = StubWhisper  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    folder = tmp_path / "model"
    folder.mkdir()
    own = Binding(
        "own",
        {
            "text": Binding.configure("mini-text"),
            "speech": Binding.configure("speech-text", text="@text", model=f"local-dir:{folder}", language="en"),
        },
    )
    with pytest.raises(BadInput, match=r"not a Whisper model of CTranslate2, model\.bin and config\.json"):
        anybind.load(own).encoder("speech")
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    clip = Waveform(make_speech("aia"), 16_000)
    actual = anybind.load(own).embed("speech", [clip])
    assert np.abs(actual.vectors - binder.embed("text", ["two red apples"]).vectors).max() <= 1e-6
    (answer,) = classify_samples(anybind.load(own), clip, ["fruit", "cars"])
    assert answer == "fruit"
    with pytest.raises(BadInput, match="no speech"):
        anybind.load(own).embed("speech", [Waveform(np.zeros(16_000, np.float32), 16_000)])
    with pytest.raises(BadOption, match="expected a Whisper model for 'en'"):
        anybind.load_encoder("speech-text", text=binder.encoder("text"), language="en").encoder("speech")


def classify_samples(binder: Binder, clip: Waveform, labels: list[str]) -> list[str]:
    texts = binder.embed("text", labels)
    scores = binder.with_labels(texts).embed("speech", [clip]) @ texts
    return [labels[number] for number in scores.argmax(axis=1)]
