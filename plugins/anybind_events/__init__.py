"""Bundled plugin for event cameras: samples, file formats, filters, simulation, corruptions, representations, encoder.

from anybind_events import convert, inspect, render, simulate
inspect("rec.raw").recording.rate
convert("rec.raw", "rec.h5")
render("rec.raw", "rec.png")
simulate("photo.jpg", "photo.npz")

It declares the kind `filter`: plugins with filters import `Filter` and `FilterSpec` from `anybind_events.filter`.
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
    TaskSpec,
    hookimpl,
    kinds,
)
from anybind_events.filter import FilterSpec
from anybind_events.live_source import SourceSpec

if TYPE_CHECKING:
    from anybind_events.activity import Activity, measure_activity
    from anybind_events.batch import Batch
    from anybind_events.conversion import Conversion, convert, convert_folder
    from anybind_events.corruption import CorruptedFile, CorruptedStream, corrupt, corrupt_events
    from anybind_events.file_simulation import Simulation, simulate
    from anybind_events.filter import Filter, filter_chunks, filter_events
    from anybind_events.inspection import FileInfo, RecordingInfo, inspect
    from anybind_events.interchange import from_structured, to_structured, to_torch
    from anybind_events.live_source import LiveSource, LiveWindow, SourceCounts
    from anybind_events.realism import Realism, RecordingStatistics, measure_realism
    from anybind_events.reconstruction.reconstruction import Reconstruction, reconstruct, reconstruct_frames
    from anybind_events.rendering import Rendering, render, render_folder
    from anybind_events.stream import EventStream
    from anybind_events.window_choice import choose_window

PUBLIC = {
    "Activity": "activity",
    "Batch": "batch",
    "Conversion": "conversion",
    "CorruptedFile": "corruption",
    "CorruptedStream": "corruption",
    "EventStream": "stream",
    "FileInfo": "inspection",
    "Filter": "filter",
    "LiveSource": "live_source",
    "LiveWindow": "live_source",
    "Realism": "realism",
    "RecordingInfo": "inspection",
    "RecordingStatistics": "realism",
    "Reconstruction": "reconstruction.reconstruction",
    "Rendering": "rendering",
    "Simulation": "file_simulation",
    "SourceCounts": "live_source",
    "choose_window": "window_choice",
    "convert": "conversion",
    "convert_folder": "conversion",
    "corrupt": "corruption",
    "corrupt_events": "corruption",
    "filter_chunks": "filter",
    "filter_events": "filter",
    "from_structured": "interchange",
    "inspect": "inspection",
    "measure_activity": "activity",
    "measure_realism": "realism",
    "reconstruct": "reconstruction.reconstruction",
    "reconstruct_frames": "reconstruction.reconstruction",
    "render": "rendering",
    "render_folder": "rendering",
    "simulate": "file_simulation",
    "to_structured": "interchange",
    "to_torch": "interchange",
}
"""Public names, with the module of each."""

__all__ = [
    "Activity",
    "Batch",
    "Conversion",
    "CorruptedFile",
    "CorruptedStream",
    "EventStream",
    "FileInfo",
    "Filter",
    "LiveSource",
    "LiveWindow",
    "Realism",
    "Reconstruction",
    "RecordingInfo",
    "RecordingStatistics",
    "Rendering",
    "Simulation",
    "SourceCounts",
    "choose_window",
    "convert",
    "convert_folder",
    "corrupt",
    "corrupt_events",
    "filter_chunks",
    "filter_events",
    "from_structured",
    "inspect",
    "measure_activity",
    "measure_realism",
    "reconstruct",
    "reconstruct_frames",
    "render",
    "render_folder",
    "simulate",
    "to_structured",
    "to_torch",
]

anybind_contract = 1

READERS = (
    ("nmnist-bin", "40-bit events of N-MNIST and N-Caltech101", "nmnist:BinReader", (".bin",), ()),
    ("dat", "Prophesee DAT, also N-CARS", "dat:DatReader", (".dat",), (b"%",)),
    ("evt2", "Prophesee EVT2", "evt2:Evt2Reader", (".raw",), (b"%",)),
    ("evt21", "Prophesee EVT2.1", "evt21:Evt21Reader", (".raw",), (b"%",)),
    ("evt3", "Prophesee EVT3", "evt3:Evt3Reader", (".raw",), (b"%",)),
    ("aedat2", "AEDAT2 of jAER: DVS128 and DAVIS", "aedat2:Aedat2Reader", (".aedat",), (b"#!AER-DAT",)),
    ("aedat3", "AEDAT3.1 of cAER, also DVS128 Gesture", "aedat3:Aedat3Reader", (".aedat",), (b"#!AER-DAT",)),
    ("aedat4", "AEDAT4 of DV, also its image frames", "aedat4:Aedat4Reader", (".aedat4",), (b"#!AER-DAT4.0\r\n",)),
    ("es", "Event Stream", "es:EsReader", (".es",), (b"Event Stream",)),
    ("hdf5-events", "HDF5: ours, DSEC, Metavision, plain columns", "hdf5:Hdf5Reader", (".h5", ".hdf5", ".mat"),
     (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3")),
    ("npy-events", "NumPy array of events", "npy:NpyReader", (".npy",), (b"\x93NUMPY",)),
    ("npz-events", "NumPy archive of event columns, also N-ImageNet", "npz:NpzReader", (".npz",), (b"PK\x03\x04",)),
    ("mat-events", "MATLAB 5 arrays of events, also ASL-DVS and ST-MNIST", "mat:MatReader", (".mat",),
     (b"MATLAB 5.0 MAT-file",)),
    ("text-events", "text with event columns: CSV, TSV, blanks", "text:TextReader", (".csv", ".txt", ".tsv"), ()),
    ("rosbag-events", "event topics of ROS 1 bags, ROS 2 bags and MCAP files", "ros_bag:RosBagReader",
     (".bag", ".db3", ".mcap"),
     (b"#ROSBAG V2.0\n", b"\x89MCAP0\r\n", b"SQLite format 3\0", b"rosbag2_bagfile_information")),
)  # fmt: skip
REPRESENTATIONS = (
    ("paper", "Eq. 1 of the paper: event counts, clamped and normalised", "paper:CountFrame"),
    ("author-code", "frames as in the published code of the paper's authors", "author_code:AuthorFrame"),
    ("polarity-histogram", "counts of OFF and ON events", "polarity_histogram:PolarityHistogram"),
    ("gray-frame", "event counts in gray on white", "white_background:GrayFrame"),
    ("red-blue", "ON events red and OFF events blue, on white", "white_background:RedBlueFrame"),
    ("count-image", "ON, total and OFF counts on white, cropped to what moves", "count_image:CountImage"),
    ("event-slices", "several slices of a fixed number of events", "event_slices:EventSlices"),
    ("signed-slices", "ON minus OFF counts in time slices of equal duration", "signed_slices:SignedSlices"),
    ("voxel-grid", "polarity in time bins, bilinear in time", "voxel_grid:VoxelGrid"),
    ("time-surface", "time since the last event of each pixel, exponential decay", "time_surface:TimeSurface"),
    ("hats", "histograms of averaged time surfaces, by cells", "averaged_time_surfaces:AveragedTimeSurfaces"),
    ("est", "event spike tensor: normalised times in time bins, OFF and ON apart", "spike_tensor:SpikeTensor"),
)
FILTERS = (
    (
        "background-activity",
        "keep events that recent events of neighbours support",
        "background_activity:BackgroundActivity",
    ),
    ("refractory", "drop events of a pixel that follow another one too soon", "refractory:Refractory"),
    ("hot-pixel", "drop events of pixels with many more than their neighbours", "defects:HotPixel"),
    ("dead-pixel", "fill pixels without events from the column beside them", "defects:DeadPixel"),
    ("flicker", "drop events of pixels that see a flickering light", "flicker:Flicker"),
    ("trail", "keep the first event of each burst of one polarity", "bursts:Trail"),
    (
        "spatio-temporal-contrast",
        "keep the second event of each burst of one polarity",
        "bursts:SpatioTemporalContrast",
    ),
    ("polarity", "keep events of one polarity", "selection:Polarity"),
    ("region", "keep events of a rectangle of the sensor", "selection:Region"),
    ("rate-limit", "bound the event rate", "rate_limit:RateLimit"),
    ("undistort", "undo the distortion of the lens, by a camera file", "undistort:Undistort"),
)
SOURCES = (
    ("replay", "a recording, sent in real time, at another speed or at an event rate", "replay:Replay"),
    ("udp", "packets of SpiNNaker's interface board (SPIF), as aestream sends them", "udp:UdpInput"),
    ("dv", "events of a network writer of dv-processing or DV, over TCP", "dv:DvInput"),
    ("stdin", "EVT2, EVT2.1, EVT3 or CSV from the standard input", "pipe:StandardInput"),
)
COMMANDS = (
    ("info", "Show a recording's format, event count, sensor size, duration and event rate."),
    ("convert", "Convert recordings to another file format."),
    ("render", "Render recordings as images or animations."),
    ("reconstruct", "Reconstruct images from events, as a video."),
    ("simulate", "Simulate an event recording of an image or a video."),
    ("corrupt", "Corrupt a recording: noise, flicker, low light and others, in 3 severities."),
    ("realism", "Measure how far simulated recordings are from real ones."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Register the modality, file formats, representations, filters and their kind, event encoder and commands."""
    registry.add(
        ModalitySpec(
            name="event",
            summary="event-camera recordings",
            target="anybind_events.modality:Event",
            derived_from=("image", "video"),
            extra="events",
        )
    )
    for name, summary, target, suffixes, signatures in READERS:
        registry.add(
            ReaderSpec(
                name=name,
                summary=summary,
                target=f"anybind_events.readers.{target}",
                modality="event",
                suffixes=suffixes,
                read_only=(".mat",),
                signatures=signatures,
                extra="rosbag" if name.startswith("rosbag") else "events",
            )
        )
    for name, summary, target in REPRESENTATIONS:
        target = f"anybind_events.representations.{target}"
        registry.add(RepresentationSpec(name=name, summary=summary, target=target, modality="event", extra="events"))
    registry.add(
        kinds.KindSpec(
            name="filter",
            plural="filters",
            summary="event streams to event streams",
            target="anybind_events.filter:Filter",
            spec="anybind_events.filter:FilterSpec",
            checks="anybind_events.conformance:CHECKS",
        )
    )
    for name, summary, target in FILTERS:
        registry.add(FilterSpec(name=name, summary=summary, target=f"anybind_events.filters.{target}", extra="events"))
    registry.add(
        EncoderSpec(
            name="event-encoder",
            summary="a trainable copy of an image encoder, on event frames",
            target="anybind_events.encoder:EventEncoder",
            modality="event",
            weights_licence="as the copied encoder's",
            extra="mini-torch",
            onnx_target="anybind_events.onnx_encoder:OnnxEventEncoder",
            onnx_extra="mini",
            input_target="anybind_events.encoder_input:create_event_input",
            input_extra="events",
        )
    )
    _register_sources(registry)
    registry.add(
        TaskSpec(
            name="robustness",
            summary="accuracy and cosine of corrupted recordings, with and without filters",
            target="anybind_events.robustness:Robustness",
            modalities=("event",),
            extra="events",
        )
    )
    for name, summary in COMMANDS:
        registry.add(
            CommandSpec(name=name, summary=summary, target=f"anybind_events.commands.{name}:{name}", extra="events")
        )


def _register_sources(registry: Registrar) -> None:
    registry.add(
        kinds.KindSpec(
            name="source",
            plural="sources",
            summary="events as they happen",
            target="anybind_events.live_source:LiveSource",
            spec="anybind_events.live_source:SourceSpec",
            checks="anybind_events.source_conformance:CHECKS",
        )
    )
    for name, summary, target in SOURCES:
        registry.add(SourceSpec(name=name, summary=summary, target=f"anybind_events.live.{target}", extra="events"))


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that listing the plugin stays light."""
    if name in PUBLIC:
        return getattr(importlib.import_module(f"anybind_events.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
