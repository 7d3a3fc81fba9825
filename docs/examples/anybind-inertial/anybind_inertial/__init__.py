"""A plugin for anybind: traces of accelerometers and gyroscopes, in one space with text."""

from __future__ import annotations

from anybind.plugin import (
    AdapterSpec,
    BindingSpec,
    DatasetSpec,
    EncoderSpec,
    ModalitySpec,
    ReaderSpec,
    Registrar,
    hookimpl,
)

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add the modality with its reader, encoders, adapter, binding and dataset."""
    registry.add(
        ModalitySpec(
            name="inertial",
            summary="traces of an accelerometer and a gyroscope",
            target="anybind_inertial.trace:Inertial",
        )
    )
    registry.add(
        ReaderSpec(
            name="inertial-table",
            modality="inertial",
            suffixes=(".imu", ".csv"),
            summary="time, acceleration and rotation as a table with commas",
            target="anybind_inertial.table:TableReader",
        )
    )
    registry.add(
        EncoderSpec(
            name="inertial-motion",
            modality="inertial",
            space="inertial-motion",
            summary="spectra and moments of a trace, by a linear map fitted to synthetic traces",
            target="anybind_inertial.motion:MotionEncoder",
            weights_licence="Apache-2.0",
        )
    )
    registry.add(
        EncoderSpec(
            name="letter-grams",
            modality="text",
            space="letter-grams",
            summary="text by letter n-grams: no weights, and no meaning beyond the spelling",
            target="anybind_inertial.letter_grams:LetterGrams",
            weights_licence="Apache-2.0",
        )
    )
    registry.add(
        AdapterSpec(
            name="inertial-to-words",
            source="inertial-motion",
            summary="ridge regression from motion to text",
            target="anybind_inertial.adapter:ToWords",
            weights_licence="Apache-2.0",
        )
    )
    registry.add(
        BindingSpec(
            name="inertial",
            modalities=("text", "inertial"),
            summary="traces and text by its spelling, on numpy alone",
            target="anybind_inertial:inertial.toml",
            weights_licence="Apache-2.0",
        )
    )
    registry.add(
        DatasetSpec(
            name="made-activities",
            modality="inertial",
            summary="eight activities, synthetic traces; any folder will do",
            target="anybind_inertial.activities:MadeActivities",
        )
    )
