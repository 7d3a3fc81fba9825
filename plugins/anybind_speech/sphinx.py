"""Speech recognition by pocketsphinx and its US English model, offline: of given labels, or of any words."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pocketsphinx

from anybind.plugin import BadInput, BadOption, files, tables

RATE = 16_000
PADDING_SECONDS, NOISE_DB, PEAK = 0.3, 30.0, 0.9
"""Silence before and after a clip, noise that far below its level, and the largest sample after scaling: the model
knows neither words without a pause around them nor digital silence. Chosen on three speakers of the Free Spoken Digit
Dataset (george, jackson, lucas), as the next constants."""
SCORE_SCALE = 1024 / 20
"""Score differences to log probabilities: pocketsphinx's are right-shifted by 10 bits, and 20 is its `ascale`, which
makes posterior probabilities of acoustic scores of dependent frames."""
MISSING = 5.0
"""Log odds between the last label in the search and those that it pruned."""
PHONE_LOOP = 45 / 20
"""Log odds that are added to labels against a loop of any phones, which stands for speech other than the labels."""
MAX_HYPOTHESES = 200
BLOCK_SECONDS = 30
WORD = re.compile(r"[^\W\d_]+(?:['.][^\W\d_]+)*\.?", re.ASCII)
VAD_FRAME_SECONDS, MIN_SPEECH_FRAMES = 0.03, 3
MIN_LEVEL_RANGE_DB = 3.0
"""Smallest range of the levels of frames, 10th to 90th percentile; that of steady noise and of tones is smaller."""
SETTINGS = {
    "padding": PADDING_SECONDS,
    "noise_db": NOISE_DB,
    "peak": PEAK,
    "scale": SCORE_SCALE,
    "missing": MISSING,
    "phone_loop": PHONE_LOOP,
    "rate": RATE,
}


class SphinxRecogniser:
    """A recogniser of US English. Each thread has decoders of its own, since they keep state."""

    def __init__(self) -> None:
        self.folder = Path(pocketsphinx.get_model_path()) / "en-us"
        self._local = threading.local()

    @functools.cached_property
    def weights_hash(self) -> str:
        """Hash of the model's files."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return tables.hash_settings({path.name: files.compute_sha256(path) for path in paths})

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything but the weights that shapes its answers."""
        return {"recogniser": "pocketsphinx", "version": importlib.metadata.version("pocketsphinx"), **SETTINGS}

    def transcribe(self, waveform: np.ndarray) -> str:
        """Recognise any words by the model's language model.

        Args:
            waveform: (n,) float32, at 16 kHz.

        Raises:
            BadInput: there is no speech, or none of the model's words.
        """
        check_speech(waveform)
        decoder = self._get_decoder("words", lm=str(self.folder / "en-us.lm.bin"))
        blocks = np.array_split(waveform, max(1, round(len(waveform) / (BLOCK_SECONDS * RATE))))
        words = [hypothesis.hypstr for block in blocks if (hypothesis := decode(decoder, prepare(block)))]
        if not (text := " ".join(filter(None, words))):
            raise BadInput("no words were recognised in the speech")
        return text

    def score_labels(self, waveform: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the probability of each label, (n,); about equal ones for speech other than the labels.

        Args:
            waveform: (n,) float32, at 16 kHz.
            labels: at least two labels.

        Raises:
            BadInput: there is no speech.
            BadOption: as `check_labels`.
        """
        check_speech(waveform)
        phrases = self.check_labels(labels)
        decoder = self._get_decoder("labels", compallsen=True)
        if getattr(self._local, "phrases", None) != phrases:
            grammar = " | ".join(phrases)
            decoder.add_jsgf_string("labels", f"#JSGF V1.0; grammar labels; public <label> = {grammar};")
            decoder.activate_search("labels")
            self._local.phrases = phrases
        loop = self._get_decoder("phones", allphone=str(self.folder / "en-us-phone.lm.bin"), compallsen=True)
        audio = prepare(waveform)
        scores = dict[str, float]()
        if decode(decoder, audio):
            for hypothesis, _ in zip(decoder.nbest() or (), range(MAX_HYPOTHESES), strict=False):
                if hypothesis is not None and hypothesis.hypstr in phrases:
                    scores[hypothesis.hypstr] = max(hypothesis.score, scores.get(hypothesis.hypstr, 0.0))
        if not scores:
            return np.full(len(phrases), 1 / len(phrases))
        lowest = np.log(min(scores.values())) * SCORE_SCALE - MISSING
        logits = np.array([np.log(scores[each]) * SCORE_SCALE if each in scores else lowest for each in phrases])
        background = decode(loop, audio)
        other = np.log(background.score) * SCORE_SCALE - PHONE_LOOP if background else lowest
        weights = np.exp(np.append(logits, other) - max(logits.max(), other))
        weights /= weights.sum()
        return weights[:-1] + weights[-1] / len(phrases)

    def check_labels(self, labels: Sequence[str]) -> list[str]:
        """Return the words of each label as the pronunciation dictionary has them.

        Raises:
            BadOption: a word is not in the dictionary, or two labels are the same words.
        """
        decoder = self._get_decoder("labels", compallsen=True)
        phrases = list[str]()
        for label in labels:
            words = re.findall(r"[^\s\-_/]+", label.lower())
            for word in words:
                if not WORD.fullmatch(word.strip('?!,;:"()')) or decoder.lookup_word(word.strip('?!,;:"()')) is None:
                    raise BadOption(
                        f"labels: {word!r} of {label!r} is not in the pronunciation dictionary of US English; write it"
                        " as words that are (numbers as words), or give a Whisper model"
                    )
            phrases.append(" ".join(word.strip('?!,;:"()') for word in words))
            if not phrases[-1] or phrases[-1] in phrases[:-1]:
                raise BadOption(f"labels: {label!r} has no words, or the same as another label")
        return phrases

    def _get_decoder(self, name: str, **options: object) -> pocketsphinx.Decoder:
        if not hasattr(self._local, name):
            settings = {"lm": None, "loglevel": "FATAL", **options}
            setattr(self._local, name, pocketsphinx.Decoder(samprate=float(RATE), **settings))
        return getattr(self._local, name)


def check_speech(waveform: np.ndarray) -> None:
    """Raise `BadInput` unless a voice activity detector finds 90 ms of speech in a clip, (n,) float32 at 16 kHz.

    The detector takes white noise for speech, so the level must also change.
    """
    detector = pocketsphinx.Vad(pocketsphinx.Vad.LOOSE, RATE, VAD_FRAME_SECONDS)
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak > 0 and measure_level_range(waveform) >= MIN_LEVEL_RANGE_DB:
        size = detector.frame_bytes
        audio = to_pcm(waveform / peak * PEAK)
        frames = (audio[start : start + size] for start in range(0, len(audio) - size + 1, size))
        n_speech = 0
        for frame in frames:
            n_speech += detector.is_speech(frame)
            if n_speech == MIN_SPEECH_FRAMES:
                return
    raise BadInput("no speech in the recording; to embed other sounds, use the modality sound")


def measure_level_range(waveform: np.ndarray) -> float:
    """Return the range of the level of 30 ms frames in dB, from the 10th to the 90th percentile; 0 without frames."""
    size = round(VAD_FRAME_SECONDS * RATE)
    frames = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    if not len(frames):
        return 0.0
    low, high = np.percentile(10 * np.log10(np.square(frames).mean(axis=1) + 1e-12), (10, 90))
    return float(high - low)


def prepare(waveform: np.ndarray) -> bytes:
    """Pad a clip, (n,) float32 at 16 kHz, add a little noise, always the same, and scale it: 16-bit PCM."""
    padded = np.pad(waveform.astype(np.float64), round(PADDING_SECONDS * RATE))
    level = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    padded += np.random.default_rng(0).normal(0, level * 10 ** (-NOISE_DB / 20), len(padded))
    return to_pcm(padded / np.abs(padded).max() * PEAK)


def to_pcm(waveform: np.ndarray) -> bytes:
    """Convert samples from -1 to 1 to 16-bit PCM."""
    return (np.clip(waveform, -1, 1) * 32_767).astype("<i2").tobytes()


def decode(decoder: pocketsphinx.Decoder, audio: bytes) -> pocketsphinx.Hypothesis | None:
    """Decode a clip as one utterance; return the hypothesis, None without words."""
    decoder.reinit_feat()  # otherwise the result depends on former utterances
    decoder.start_utt()
    decoder.process_raw(audio, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis if hypothesis is not None and hypothesis.hypstr else None
