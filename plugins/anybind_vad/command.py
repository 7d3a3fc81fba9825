"""`anybind vad`: which parts of a video are abnormal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
    print_table,
)
from anybind.plugin import BadOption, Head, charts, files
from anybind_vad.embedding import BATCH_SIZE
from anybind_vad.snapshots import SnapshotCollector
from anybind_vad.page import save_page
from anybind_vad.presets import PAPER, WINDOW_FRAMES
from anybind_vad.scores import VideoScores, score_video

PAGES = (".html", ".htm")


def vad(
    video: Annotated[Path, typer.Argument(help="A video, or a folder of frames.")],
    binding: BindingName = "mini",
    head: Annotated[str, typer.Option(help="Anomaly head by name. [default: zero-shot]")] = "",
    head_file: Annotated[Path | None, typer.Option(help="A fitted head, as it was saved (.safetensors).")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the head; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="Events as in: paper, author-readme, author-later.")] = PAPER,
    threshold: Annotated[float | None, typer.Option(help="Gray levels, of 255, for an event; 25 in the paper.")] = None,
    clamp: Annotated[float | None, typer.Option(help="Clamp per-pixel event counts at this value.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of a window.")] = WINDOW_FRAMES,
    stride: Annotated[int | None, typer.Option(help="Frames from one window to the next. [default: --frames]")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate of a folder of frames in Hz. [default: 25]")] = None,
    sigma: Annotated[
        float, typer.Option(help="Gaussian smoothing of frame scores: standard deviation in seconds.")
    ] = 0.0,
    score_threshold: Annotated[
        float | None, typer.Option(help="Threshold of segments. [default: median + 3 robust standard deviations]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page with the timeline (.html).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if the video cannot be decoded completely.")] = False,
    batch_size: Annotated[int, typer.Option(help="Windows embedded at a time.")] = BATCH_SIZE,
    device: Device = "cpu",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Score how abnormal each moment of a video is, and list the segments above a threshold.

    An interrupted run resumes when it is started again, unless with --no-store.
    """
    if output is not None:
        if output.suffix.lower() not in PAGES:
            raise BadOption(f"the output is a page: give a name that ends in {' or '.join(PAGES)}, got {output}")
        files.check_output(output)
    gallery = None if output is None else SnapshotCollector()
    scores = score_video(
        video,
        head=_head(head, head_file, option),
        binding=binding,
        preset=preset,
        threshold=threshold,
        clamp=clamp,
        frames=frames,
        stride=stride,
        fps=fps,
        sigma=sigma,
        score_threshold=score_threshold,
        batch_size=batch_size,
        device=device,
        store=open_store(store),
        strict=strict,
        collector=gallery,
    )
    if output is not None and gallery is not None:
        save_page(output, scores, gallery.snapshots)
    if as_json:
        page = None if output is None else str(output)
        about = {"film": files.portable_name(video), "fps": scores.fps, "page": page, "settings": scores.settings}
        print_json(about | scores.to_dict())
    else:
        _print(scores, output)


def _head(name: str, file: Path | None, options: list[str] | None) -> Head:
    """The head; raises `BadOption` where the options do not go together."""
    if file is None:
        return Head.find(name or "zero-shot", predicts="anomaly", **parse_options(options))
    if file.suffix != ".safetensors" or options:
        raise BadOption(
            "--head-file takes a .safetensors file that a head was saved to, and no --option: it has its own"
        )
    head = Head.find(file, predicts="anomaly")
    if name not in ("", head.name):
        raise BadOption(f"{file} holds the head {head.name!r}, not {name!r}; leave out --head")
    return head


def _print(scores: VideoScores, page: Path | None) -> None:
    rows = [
        (
            *(charts.format_time(seconds, True) for seconds in (each.start, each.end, each.peak)),
            f"{each.score:.4g}",
            f"{each.first} to {each.last}",
        )
        for each in scores.segments
    ]
    title = f"{scores.path}: {len(rows)} segments above {scores.threshold:.4g}"
    print_table(("start", "end", "peak", "score", "frames"), rows, title)
    if page is not None:
        typer.echo(f"page: {page}")
