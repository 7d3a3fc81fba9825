"""`anybind realism`: see `anybind_events.measure_realism`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, ReaderOptions, parse_reader_options, print_json, print_table, print_text
from anybind_events.realism import RecordingStatistics, measure_realism

SHARES = ("on_share", "active_share", "hot_share", "hot_event_share")
MIN_REAL = 10


def realism(
    simulated: Annotated[list[Path], typer.Argument(help="Simulated recordings.")],
    real: Annotated[list[Path], typer.Option("--real", help="Real recording of the same kind of scene; repeatable.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Chart of the statistics: .png, .pdf or .svg.")
    ] = None,
    as_json: AsJson = False,
    reader_option: ReaderOptions = None,
) -> None:
    """Measure how far simulated recordings are from real ones."""
    result = measure_realism(simulated, real, output=output, reader_options=parse_reader_options(reader_option))
    if as_json:
        print_json(asdict(result))
        return
    rows = [_describe("simulated", each) for each in result.simulated] + [
        _describe("real", each) for each in result.real
    ]
    print_table(("kind", "file", "events", "Hz/pixel", *(name.replace("_", " ") for name in SHARES)), rows)
    print_table(("distance", "value"), [(name, f"{value:.4f}") for name, value in result.distances.items()])
    if len(result.real) < MIN_REAL:
        print_text(f"n = {len(result.real)} real: a calibration to few recordings, not a measure of realism")


def _describe(kind: str, statistics: RecordingStatistics) -> list[str]:
    shares = [f"{getattr(statistics, name):.4f}" for name in SHARES]
    return [kind, Path(statistics.file).name, str(statistics.events), f"{statistics.pixel_rate:.2f}", *shares]
