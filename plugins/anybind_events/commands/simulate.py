"""`anybind simulate`: see `anybind_events.simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, Seed, print_json
from anybind_events.simulating import simulate as simulate_recording


def simulate(
    source: Annotated[Path, typer.Argument(help="An image, a video, or a folder of frames.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The recording; of a long video, .h5.")],
    model: Annotated[
        str | None, typer.Option(help="Of an image: saccades. Of a video: frame-difference (default) or contrast.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="In log units (0.25); of frame-difference in gray levels of 255 (25).")
    ] = None,
    mismatch: Annotated[float | None, typer.Option(help="Deviation of pixel thresholds, in log units.")] = None,
    pixels_per_degree: Annotated[float | None, typer.Option(help="Size of saccades.")] = None,
    turn_degrees: Annotated[float | None, typer.Option(help="Direction of saccades.")] = None,
    refractory_us: Annotated[float | None, typer.Option(help="Blind time after an event (contrast).")] = None,
    leak_hz: Annotated[float | None, typer.Option(help="Rises of a pixel a second at rest (contrast).")] = None,
    shot_hz: Annotated[float | None, typer.Option(help="Chance events of a pixel a second (contrast).")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of frames; 25 by default.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate the recording of an event camera that sees an image, a video or a folder of frames."""
    made = simulate_recording(
        source, output, model=model, fps=fps, seed=seed, threshold=threshold, mismatch=mismatch,
        pixels_per_degree=pixels_per_degree, turn_degrees=turn_degrees, refractory_us=refractory_us, leak_hz=leak_hz,
        shot_hz=shot_hz,
    )  # fmt: skip
    if as_json:
        print_json(vars(made))
    else:
        size = f"{made.sensor[0]}x{made.sensor[1]}"
        typer.echo(f"{output}: {made.events} events, {size}, {made.duration_us} us, by {made.model}")
