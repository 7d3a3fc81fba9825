"""Bundled plugin: event cameras - samples, file formats, simulation, representations, the event encoder."""

from __future__ import annotations

from anybind.plugin import (
    CommandSpec,
    EncoderSpec,
    ModalitySpec,
    ReaderSpec,
    Registrar,
    RepresentationSpec,
    hookimpl,
)

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
    ("info", "Tell what is in a recording: format, events, sensor, duration, rate."),
    ("convert", "Write a recording in another format."),
    ("render", "Draw a recording as a picture, or as a film over time."),
    ("simulate", "Make an event recording of a picture or a film."),
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
