"""A plugin for anybind: traces of accelerometers and gyroscopes, bound to words."""

from __future__ import annotations

import anybind
from anybind.plugin import hookimpl
from anybind.spec import Spec


@hookimpl
def register_modalities(register: anybind.Register) -> None:
    """`inertial`."""
    register(
        Spec(
            name="inertial",
            summary="traces of an accelerometer and a gyroscope",
            target="anybind_inertial.trace:Inertial",
        )
    )


@hookimpl
def register_readers(register: anybind.Register) -> None:
    """Tables of seven columns."""
    register(
        Spec(
            name="inertial-table",
            summary="time, acceleration and rotation as a table with commas",
            target="anybind_inertial.table:TableReader",
            gives="inertial",
            suffixes=(".imu", ".csv"),
        )
    )


@hookimpl
def register_encoders(register: anybind.Register) -> None:
    """What moves, and what it is called."""
    register(
        Spec(
            name="inertial-motion",
            summary="spectra and moments of a trace, by a linear map that was fitted to made traces",
            target="anybind_inertial.motion:MotionEncoder",
            consumes=("inertial",),
            gives="inertial-motion",
            weights_licence="Apache-2.0",
        )
    )
    register(
        Spec(
            name="letter-grams",
            summary="words by the runs of letters in them: no weights, and no meaning beyond the spelling",
            target="anybind_inertial.words:LetterGrams",
            consumes=("text",),
            gives="letter-grams",
            weights_licence="Apache-2.0",
        )
    )


@hookimpl
def register_adapters(register: anybind.Register) -> None:
    """From motion to words."""
    register(
        Spec(
            name="inertial-to-words",
            summary="ridge regression from motion to the words for it",
            target="anybind_inertial.adapter:ToWords",
            consumes=("inertial-motion",),
            weights_licence="Apache-2.0",
        )
    )


@hookimpl
def register_bindings(register: anybind.Register) -> None:
    """Motion and words in one space."""
    register(
        Spec(
            name="inertial",
            summary="traces and the spelling of words for them, on numpy alone",
            target="anybind_inertial:inertial.toml",
            consumes=("text", "inertial"),
            weights_licence="Apache-2.0",
        )
    )


@hookimpl
def register_datasets(register: anybind.Register) -> None:
    """Traces that are made up."""
    register(
        Spec(
            name="made-activities",
            summary="eight activities, traces made by formulas; any folder will do",
            target="anybind_inertial.activities:MadeActivities",
            gives="inertial",
        )
    )
