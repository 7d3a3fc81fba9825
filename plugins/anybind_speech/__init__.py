"""Bundled plugin: the modality `speech` - what is said in a recording, embedded by the binding's text encoder.

from anybind_classification import classify
classify("digits/", ["zero", "one", "two"], modality="speech")[0].label
"""

from __future__ import annotations

from anybind.plugin import EncoderSpec, ModalitySpec, Registrar, hookimpl

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Register the modality, and the encoder that any binding with a text encoder has."""
    registry.add(
        ModalitySpec(
            name="speech",
            summary="audio clips, by what is said in them",
            target="anybind_speech.modality:Speech",
            derived_from=("sound",),
            extra="sound",
        )
    )
    registry.add(
        EncoderSpec(
            name="speech-text",
            summary="recognised speech (pocketsphinx, or a Whisper model), embedded by a text encoder",
            target="anybind_speech.encoder:SpeechEncoder",
            modality="speech",
            builds_on="text",
            weights_licence="BSD-2-Clause, and that of the text encoder",
            extra="speech",
            onnx_target="anybind_speech.encoder:SpeechEncoder",
            onnx_extra="speech",
        )
    )
