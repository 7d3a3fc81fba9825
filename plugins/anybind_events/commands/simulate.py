"""`anybind simulate`: see `anybind_events.simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, Seed, print_json, print_text
from anybind_events.file_simulation import simulate as simulate_recording


def simulate(
    source: Annotated[Path, typer.Argument(help="Image, video, animated image, or folder of frames.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output recording, e.g. .npz; for long videos .h5.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Images: saccades, motion; videos: frame-difference, contrast. [default: saccades, frame-difference]"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Threshold in log units; for frame-difference in gray levels, 0 to 255. [default: 0.25; 25]"),
    ] = None,
    mismatch: Annotated[
        float | None, typer.Option(help="Standard deviation of pixel thresholds in log units. [default: 0.03]")
    ] = None,
    pixels_per_degree: Annotated[
        float | None, typer.Option(help="Amplitude of saccades in pixels per degree. [default: 7]")
    ] = None,
    turn_degrees: Annotated[float | None, typer.Option(help="Rotation of saccades in degrees. [default: 0]")] = None,
    refractory_us: Annotated[
        float | None, typer.Option(help="Refractory period in microseconds (contrast). [default: 0]")
    ] = None,
    leak_hz: Annotated[
        float | None, typer.Option(help="Leak: ON events per pixel and second at rest (contrast). [default: 0]")
    ] = None,
    shot_hz: Annotated[
        float | None, typer.Option(help="Shot noise: events per pixel and second (contrast). [default: 0]")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of frames. [default: 25]")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate the recording of an event camera that views an image, a video or a folder of frames."""
    simulation = simulate_recording(
        source, output, model=model, fps=fps, seed=seed, threshold=threshold, mismatch=mismatch,
        pixels_per_degree=pixels_per_degree, turn_degrees=turn_degrees, refractory_us=refractory_us, leak_hz=leak_hz,
        shot_hz=shot_hz,
    )  # fmt: skip
    if as_json:
        print_json(vars(simulation))
    else:
        size = f"{simulation.sensor[0]}x{simulation.sensor[1]}"
        print_text(f"{output}: {simulation.events} events, {size}, {simulation.duration_us} us, by {simulation.model}")
