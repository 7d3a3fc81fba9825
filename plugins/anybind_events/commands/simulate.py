"""`anybind simulate`: see `anybind_events.simulate`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, Seed, print_json, print_text
from anybind_events.commands.simulation_options import list_option_parameters
from anybind_events.file_simulation import simulate as simulate_recording


def simulate(
    source: Annotated[Path, typer.Argument(help="Image, video, animated image, or folder of frames.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output recording, e.g. .npz; for long videos .h5.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Images: saccades, eased-saccades, motion; videos: frame-difference, contrast. "
            "[default: saccades, frame-difference]"
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of frames. [default: 25]")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Simulate the recording of an event camera that views an image, a video or a folder of frames."""
    simulation = simulate_recording(source, output, model=model, fps=fps, seed=seed, **options)
    if as_json:
        print_json(vars(simulation))
    else:
        size = f"{simulation.sensor[0]}x{simulation.sensor[1]}"
        print_text(f"{output}: {simulation.events} events, {size}, {simulation.duration_us} us, by {simulation.model}")


def _declare_options() -> None:
    """Declare the options of all models as parameters of the command, in the place of `**options`."""
    signature = inspect.signature(simulate, eval_str=True)
    parameters = list(signature.parameters.values())[:-1]
    simulate.__signature__ = signature.replace(parameters=[*parameters, *list_option_parameters()])


_declare_options()
