"""Bundled plugin: event cameras - samples, file formats, simulation, representations, the event encoder.

from anybind_events import convert, inspect, render, simulate
inspect("rec.raw").recording.rate
convert("rec.raw", "rec.h5")
render("rec.raw", "rec.png")
simulate("photo.jpg", "photo.npz")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import (
    CommandSpec,
    EncoderSpec,
    ModalitySpec,
    ReaderSpec,
    Registrar,
    RepresentationSpec,
    hookimpl,
)

if TYPE_CHECKING:
    from anybind_events.conversion import Conversion, convert
    from anybind_events.inspection import FileInfo, RecordingInfo, inspect
    from anybind_events.interchange import from_structured, to_structured, to_torch
    from anybind_events.rendering import Rendering, render
    from anybind_events.simulating import Simulation, simulate
    from anybind_events.stream import EventStream

PUBLIC = {
    "Conversion": "conversion",
    "EventStream": "stream",
    "FileInfo": "inspection",
    "RecordingInfo": "inspection",
    "Rendering": "rendering",
    "Simulation": "simulating",
    "convert": "conversion",
    "from_structured": "interchange",
    "inspect": "inspection",
    "render": "rendering",
    "simulate": "simulating",
    "to_structured": "interchange",
    "to_torch": "interchange",
}
"""What is public, and the module of each."""

__all__ = [
    "Conversion",
    "EventStream",
    "FileInfo",
    "RecordingInfo",
    "Rendering",
    "Simulation",
    "convert",
    "from_structured",
    "inspect",
    "render",
    "simulate",
    "to_structured",
    "to_torch",
]

anybind_contract = 1

READERS = (
    ("nmnist-bin", "40-bit events of N-MNIST and N-Caltech101", "nmnist:BinReader", (".bin",)),
    ("dat", "Prophesee DAT, also N-CARS", "dat:DatReader", (".dat",)),
    ("evt2", "Prophesee EVT2", "evt2:Evt2Reader", (".raw",)),
    ("evt21", "Prophesee EVT2.1", "evt21:Evt21Reader", (".raw",)),
    ("evt3", "Prophesee EVT3", "evt3:Evt3Reader", (".raw",)),
    ("aedat2", "AEDAT2 of jAER: DVS128 and DAVIS", "aedat2:Aedat2Reader", (".aedat",)),
    ("aedat3", "AEDAT3.1 of cAER, also DVS128 Gesture", "aedat3:Aedat3Reader", (".aedat",)),
    ("aedat4", "AEDAT4 of DV, also its image frames", "aedat4:Aedat4Reader", (".aedat4",)),
    ("es", "Event Stream", "es:EsReader", (".es",)),
    ("hdf5-events", "HDF5: ours, DSEC, Metavision, plain columns", "hdf5:Hdf5Reader", (".h5", ".hdf5")),
    ("npy-events", "NumPy array of events", "npy:NpyReader", (".npy",)),
    ("npz-events", "NumPy archive of event columns (also N-ImageNet's)", "npz:NpzReader", (".npz",)),
    ("text-events", "text of event columns: CSV, TSV, blanks", "text:TextReader", (".csv", ".txt", ".tsv")),
)
REPRESENTATIONS = (
    ("paper", "Eq. 1: event counts over polarity and time, clamped and normalised", "paper:CountFrame"),
    ("author-code", "what the paper's authors' code shows its tower", "author_code:AuthorFrame"),
    ("polarity-histogram", "counts of falls and of rises", "polarity_histogram:PolarityHistogram"),
    ("gray-frame", "events as gray on white", "on_white:GrayFrame"),
    ("red-blue", "rises red and falls blue on white", "on_white:RedBlueFrame"),
    ("event-slices", "several views of a number of events each", "event_slices:EventSlices"),
    ("signed-slices", "rises less falls in equal parts of the time", "signed_slices:SignedSlices"),
    ("voxel-grid", "polarity in bins of time, bilinear", "voxel_grid:VoxelGrid"),
    ("time-surface", "how long ago each pixel fired, exponential decay", "time_surface:TimeSurface"),
)
COMMANDS = (
    ("info", "Show a recording's format, event count, sensor size, duration and event rate."),
    ("convert", "Write a recording in another file format."),
    ("render", "Draw a recording as a picture, or as an animation over time."),
    ("simulate", "Simulate the event recording of an image or a video."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the modality, file formats, representations, the event encoder and the commands."""
    registry.add(
        ModalitySpec(
            name="event",
            summary="recordings of event cameras",
            target="anybind_events.modality:Event",
            derived_from=("image", "video"),
            extra="events",
        )
    )
    for name, summary, target, suffixes in READERS:
        target = f"anybind_events.readers.{target}"
        registry.add(
            ReaderSpec(name=name, summary=summary, target=target, modality="event", suffixes=suffixes, extra="events")
        )
    for name, summary, target in REPRESENTATIONS:
        target = f"anybind_events.representations.{target}"
        registry.add(RepresentationSpec(name=name, summary=summary, target=target, modality="event", extra="events"))
    registry.add(
        EncoderSpec(
            name="event-tower",
            summary="a trainable copy of any image encoder that reads event frames",
            target="anybind_events.tower:EventTower",
            modality="event",
            weights_licence="as the copied tower's",
            extra="events",
        )
    )
    for name, summary in COMMANDS:
        registry.add(
            CommandSpec(name=name, summary=summary, target=f"anybind_events.commands.{name}:{name}", extra="events")
        )


def __getattr__(name: str) -> object:
    """Import what is public when it is first used, so that listing the plugin stays light."""
    if name in PUBLIC:
        return getattr(importlib.import_module(f"anybind_events.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
