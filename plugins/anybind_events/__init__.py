"""Bundled plugin: event cameras - samples, file formats, simulation, representations, the event encoder."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_modalities(register: Register) -> None:
    """`event`, which can be simulated from a picture."""
    register(
        Spec(
            name="event",
            summary="recordings of event cameras",
            target="anybind_events.modality:Event",
            consumes=("image",),
        )
    )


@hookimpl
def register_readers(register: Register) -> None:
    """Recordings on disk."""
    register(
        Spec(
            name="npz-events",
            summary="NumPy archive of event columns (also N-ImageNet's)",
            target="anybind_events.readers.npz:NpzReader",
            gives="event",
            suffixes=(".npz",),
        )
    )
    register(
        Spec(
            name="nmnist-bin",
            summary="40-bit events of N-MNIST and N-Caltech101",
            target="anybind_events.readers.nmnist:BinReader",
            gives="event",
            suffixes=(".bin",),
        )
    )


@hookimpl
def register_representations(register: Register) -> None:
    """Event streams to frames."""
    register(
        Spec(
            name="paper",
            summary="Eq. 1: event counts over polarity and time, clamped and normalised",
            target="anybind_events.representations.paper:CountFrame",
            consumes=("event",),
        )
    )


@hookimpl
def register_encoders(register: Register) -> None:
    """The event tower of the paper."""
    register(
        Spec(
            name="event-tower",
            summary="a trainable copy of any image encoder that reads event frames",
            target="anybind_events.tower:EventTower",
            consumes=("event",),
        )
    )
