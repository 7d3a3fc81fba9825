"""`anybind vad`: see `anybind_vad.score_video`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Backend,
    BindingName,
    Device,
    ReaderOptions,
    StoreFlag,
    open_store,
    parse_options,
    parse_reader_options,
    print_json,
    print_table,
    print_text,
)
from anybind.plugin import BadOption, Head, files, pages
from anybind_vad.embedding import BATCH_SIZE
from anybind_vad.page import save_page
from anybind_vad.presets import MERGE, PAPER, WINDOW_FRAMES
from anybind_vad.scores import VideoScores, score_video
from anybind_vad.segments import TIME
from anybind_vad.snapshots import SnapshotCollector

Sigma = Annotated[float, typer.Option(help="Gaussian smoothing of frame scores: standard deviation in seconds.")]
Smoothing = Annotated[
    str, typer.Option(help="Smooth by --sigma over time, or over time and similarity of windows: time, similarity.")
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(help="Score threshold of segments. [default: median + 3 robust standard deviations]"),
]


def vad(
    video: Annotated[Path, typer.Argument(help="Video file, folder of frames, or event recording.")],
    binding: BindingName = "mini",
    head: Annotated[str, typer.Option(help="Anomaly head by name. [default: zero-shot]")] = "",
    head_file: Annotated[Path | None, typer.Option(help="Fitted head, a .safetensors file.")] = None,
    head_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the head; repeatable.")] = None,
    preset: Annotated[
        str, typer.Option(help="Preset of event generation: paper, author-readme, author-later.")
    ] = PAPER,
    threshold: Annotated[
        float | None, typer.Option(help="Event threshold in gray levels of 255. [default: the preset's; paper: 25]")
    ] = None,
    clamp: Annotated[float | None, typer.Option(help="Clamp per-pixel event counts at this value.")] = None,
    frames: Annotated[int, typer.Option(help="Window length in frames.")] = WINDOW_FRAMES,
    stride: Annotated[int | None, typer.Option(help="Window stride in frames. [default: --frames]")] = None,
    last: Annotated[str, typer.Option(help="Last frames that do not fill a window: merge or drop.")] = MERGE,
    fps: Annotated[
        float | None, typer.Option(help="Frame rate in Hz of a folder of frames or an event recording. [default: 25]")
    ] = None,
    sigma: Sigma = 0.0,
    smoothing: Smoothing = TIME,
    score_threshold: ScoreThreshold = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write an HTML page with the timeline (.html).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if the video cannot be decoded completely.")] = False,
    batch_size: Annotated[int, typer.Option(help="Windows embedded at a time.")] = BATCH_SIZE,
    device: Device = "cpu",
    backend: Backend = "auto",
    store: StoreFlag = True,
    as_json: AsJson = False,
    reader_option: ReaderOptions = None,
) -> None:
    """Score each frame of a video for anomalies, and list the segments with scores above a threshold.

    An interrupted run resumes when it is started again, unless with --no-store.
    """
    if output is not None:
        files.check_output(output, files.PAGE_SUFFIXES)
    collector = None if output is None else SnapshotCollector()
    scores = score_video(
        video,
        head=_find_head(head, head_file, head_option),
        binding=binding,
        preset=preset,
        threshold=threshold,
        clamp=clamp,
        frames=frames,
        stride=stride,
        last=last,
        fps=fps,
        sigma=sigma,
        smoothing=smoothing,
        score_threshold=score_threshold,
        batch_size=batch_size,
        device=device,
        backend=backend,
        store=open_store(store),
        strict=strict,
        collector=collector,
        reader_options=parse_reader_options(reader_option),
    )
    if output is not None and collector is not None:
        save_page(output, scores, collector.snapshots)
    if as_json:
        page = None if output is None else str(output)
        fields = {"video": files.portable_name(video), "fps": scores.fps, "page": page, "settings": scores.settings}
        print_json(fields | scores.to_dict())
    else:
        _print_segments(scores, output)


def _find_head(name: str, file: Path | None, options: list[str] | None) -> Head:
    """Return the head; raise `BadOption` if the options exclude each other."""
    if file is None:
        return Head.find(name or "zero-shot", predicts="anomaly", **parse_options(options))
    if file.suffix != ".safetensors" or options:
        raise BadOption(f"--head-file: expected a saved head (.safetensors) without --head-option, got {file}")
    head = Head.find(file, predicts="anomaly")
    if name not in ("", head.name):
        raise BadOption(f"{file}: expected the head {name!r}, got {head.name!r}; omit --head")
    return head


def _print_segments(scores: VideoScores, page: Path | None) -> None:
    rows = [
        (
            *(pages.format_time(seconds, 1) for seconds in (segment.start, segment.end, segment.peak)),
            f"{segment.score:.4g}",
            f"{segment.first} to {segment.last}",
        )
        for segment in scores.segments
    ]
    if rows:
        title = f"{scores.path}: {len(rows)} segments above {scores.threshold:.4g}"
        print_table(("start", "end", "peak", "score", "frames"), rows, title)
    else:
        print_text(f"{scores.path}: no segment above {scores.threshold:.4g}")
    if page is not None:
        print_text(f"page: {page}")
