"""Speech recognition by a Whisper model in CTranslate2's format, on a folder of this machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files, tables

FILES = ("model.bin", "config.json", "tokenizer.json")


class WhisperRecogniser:
    """A recogniser of any words, by faster-whisper. It has no grammar: labels do not restrict it."""

    def __init__(self, model: str | os.PathLike[str], language: str = "") -> None:
        """Load a model.

        Args:
            model: the folder, with `model.bin`, `config.json` and `tokenizer.json`.
            language: language code, such as `en`. [default: detected]

        Raises:
            BadInput: the folder is not such a model.
            ModuleNotFoundError: faster-whisper is not installed.
        """
        import faster_whisper  # pyright: ignore[reportMissingImports]

        self.folder = Path(os.fspath(model).removeprefix("local-dir:")).expanduser()
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        if missing:
            raise BadInput(f"{self.folder}: not a Whisper model of CTranslate2, {' and '.join(missing)} missing")
        try:
            self._model = faster_whisper.WhisperModel(str(self.folder), device="cpu", local_files_only=True)
        except (RuntimeError, ValueError) as error:
            raise BadInput(f"{self.folder}: cannot be loaded: {' '.join(str(error).split())[:160]}") from error
        self.language = language

    @functools.cached_property
    def weights_hash(self) -> str:
        """Hash of the model's files."""
        return tables.hash_settings({name: files.compute_sha256(self.folder / name) for name in FILES})

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything but the weights that shapes its answers."""
        version = importlib.metadata.version("faster-whisper")
        return {"recogniser": "faster-whisper", "version": version, "language": self.language}

    def transcribe(self, waveform: np.ndarray) -> str:
        """Recognise any words in (n,) float32 at 16 kHz; raise `BadInput` if there is no speech."""
        segments, _ = self._model.transcribe(waveform, language=self.language or None, temperature=0.0, vad_filter=True)
        if not (text := " ".join(segment.text.strip() for segment in segments).strip()):
            raise BadInput("no speech in the recording; to embed other sounds, use the modality sound")
        return text
