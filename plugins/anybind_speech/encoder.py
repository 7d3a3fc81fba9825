"""`SpeechEncoder`: the text recognised in a recording, embedded by a text encoder."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadOption, Encoder, samples, tables
from anybind_speech.posteriors import LOGIT_SCALE, embed_probabilities

RATE = 16_000


class SpeechEncoder(Encoder):
    """An encoder of speech, whose preprocessing is speech recognition.

    Without labels, it embeds the words that a language model recognises. With labels, and pocketsphinx, it recognises
    these only: the embedding has their probabilities as its softmax over similarities.

    Attributes:
        text: the text encoder.
        recogniser: recognises words in a clip.
        labels: embeddings of the labels that are expected; None for any words.
    """

    def __init__(
        self, text: Encoder, *, model: str | os.PathLike[str] = "", language: str = "", runtime: str = ""
    ) -> None:
        """Load a recogniser.

        Args:
            text: the text encoder; in a binding file `text = "@text"`.
            model: folder of a Whisper model in CTranslate2's format. [default: pocketsphinx and its US English model]
            language: language code for Whisper, such as `en`. [default: detected]
            runtime: that of the text encoder.

        Raises:
            BadOption: `text` is not a text encoder, or a language without a Whisper model.
            BadInput: the folder is not a Whisper model.
        """
        if not isinstance(text, Encoder) or text.modality != "text":
            raise BadOption('text: expected a text encoder: set text = "@text"')
        if language and not model:
            raise BadOption(f"language: expected a Whisper model for {language!r}; pocketsphinx's is US English")
        if model:
            from anybind_speech.whisper import WhisperRecogniser

            self.recogniser: Any = WhisperRecogniser(model, language)
        else:
            from anybind_speech.sphinx import SphinxRecogniser

            self.recogniser = SphinxRecogniser()
        self.text, self.labels = text, None
        self.modality, self.space, self.logit_scale = "speech", text.space, text.logit_scale

    labels: Embeddings | None

    @property
    def weights_hash(self) -> str:
        return tables.hash_settings([self.recogniser.weights_hash, self.text.weights_hash])

    @property
    def preprocessing(self) -> Mapping[str, object]:
        labels = {} if self.labels is None else {"labels": list(self.labels.ids), "texts": self.labels.encoder}
        return {**self.recogniser.settings, **labels, "text": dict(self.text.preprocessing)}

    def with_labels(self, labels: Embeddings) -> Self:
        """Return an encoder that recognises these labels only; with Whisper, which has no grammar, itself.

        Raises:
            BadOption: a word of a label is not in the pronunciation dictionary.
        """
        if not hasattr(self.recogniser, "score_labels"):
            return self
        self.recogniser.check_labels(labels.ids)
        twin = copy.copy(self)
        twin.labels, twin.space, twin.logit_scale = labels, labels.space, LOGIT_SCALE
        return twin

    def preprocess(self, sample: samples.AudioSample) -> object:
        """Recognise the speech in a clip of any rate and number of channels.

        Returns:
            the input of the text encoder, or, with labels, their probabilities, (n,) float64.

        Raises:
            BadInput: there is no speech in the clip.
        """
        waveform = sample.mono().resample(RATE).samples[0]
        if self.labels is not None:
            return self.recogniser.score_labels(waveform, self.labels.ids)
        return self.text.preprocess(self.recogniser.transcribe(waveform))

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        if self.labels is None:
            return self.text.encode(inputs)
        texts = self.labels.vectors
        return np.stack([embed_probabilities(probabilities, texts) for probabilities in inputs])

    def to(self, device: str) -> Self:
        """Return the encoder: recognition runs on the CPU, and the binding moves the text encoder."""
        return self
