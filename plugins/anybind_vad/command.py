"""`anybind vad`: which parts of a film are abnormal."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from anybind import AnybindWarning, Binder, find_binding, load
from anybind.commandline import AsJson, BindingName, Device, named_values, print_json, print_table
from anybind.plugin import BadInput, BadOption, Head, files, find_head, progress_bar
from anybind_vad.embed import BATCH
from anybind_vad.gallery import SIDE, Gallery
from anybind_vad.presets import PAPER, bind_events, find_preset
from anybind_vad.score_log import ScoreLog, film_mark
from anybind_vad.scores import FilmScores, score_film
from anybind_vad.segments import Segment, automatic_threshold, find_segments, smooth
from anybind_vad.timeline import clock
from anybind_vad.windows import FilmPass, open_film

PAGES = (".html", ".htm")


def vad(
    film: Annotated[Path, typer.Argument(help="A film, or a folder of frames.")],
    binding: BindingName = "mini",
    head: Annotated[str, typer.Option(help="What scores windows: zero-shot, event-rate, image, ...")] = "",
    head_file: Annotated[Path | None, typer.Option(help="A fitted head, as it was saved (.safetensors).")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the head; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="Events as in: paper, author-readme, author-later.")] = PAPER,
    threshold: Annotated[float | None, typer.Option(help="Gray levels, of 255, for an event; 25 in the paper.")] = None,
    clamp: Annotated[float | None, typer.Option(help="Largest count of events of a pixel that is told apart.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of a window.")] = 16,
    stride: Annotated[int | None, typer.Option(help="Frames from one window to the next; those of a window.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of frames; 25 by default.")] = None,
    smooth: Annotated[float, typer.Option("--smooth", help="Smooth frame scores by a bell of this many seconds.")] = 0,
    above: Annotated[
        float | None, typer.Option(help="Segments are above this score; found by itself if left out.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page with the timeline (.html).")] = None,
    partial: Annotated[Path | None, typer.Option(help="Where scores are kept as they come; beside the output.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take up the scores that a run left behind.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a film that cannot be played to its end.")] = False,
    batch_size: Annotated[int, typer.Option(help="Windows that are embedded at a time.")] = BATCH,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Score how abnormal each moment of a film is, and name the segments above a threshold."""
    _check_numbers(smooth, above, batch_size)
    kept = _partial(output, partial, resume)
    video = open_film(film, fps)
    binder, events = _binder(binding, device, preset, threshold, clamp)
    chosen = _head(head, head_file, option)
    pictures = "image" in chosen.needs
    passed = FilmPass(
        video,
        frames=frames,
        stride=stride,
        threshold=events["threshold"],
        pictures=pictures or output is not None,
        side=None if pictures else SIDE,
    )
    _prepare(chosen, binder)  # loads towers: what is wrong with the options is told by now
    settings: dict[str, Any] = {
        "binding": binder.name,
        "encoders": {of: binder.identity(of) for of in chosen.needs},
        "head": {"name": chosen.name, "identity": chosen.identity, "settings": chosen.settings},
        **events,
        "frames": frames,
        "stride": frames if stride is None else stride,
        "batch_size": batch_size,
        "device": device,
    }
    about = {
        "film": film_mark(film),
        "fps": video.fps,
        **{name: settings[name] for name in settings if name != "preset"},
    }
    log = None if kept is None else (ScoreLog.resume if resume else ScoreLog.begin)(kept, about)
    gallery = None if output is None else Gallery()
    with progress_bar(round(video.duration * video.fps / settings["stride"]), "scoring") as advance:
        found = score_film(passed, binder, chosen, batch_size=batch_size, log=log, gallery=gallery, advance=advance)
    _tell(film, found, frames, strict, kept)
    told = Told(found, smooth, above)
    settings |= {"smooth": smooth, "above": told.above, "above_rule": told.rule}
    if output is not None and gallery is not None:
        _write_page(output, film, told, gallery, settings)
    if log is not None:
        log.close(remove=not found.problem)
    _print(film, video.fps, told, settings, output, as_json)


def _check_numbers(smooth: float, above: float | None, batch_size: int) -> None:
    """Raise `BadOption` for numbers that would be told of only after the film was scored."""
    if not (np.isfinite(smooth) and smooth >= 0):
        raise BadOption(f"--smooth must be a number of seconds, 0 or more, got {smooth}")
    if above is not None and not np.isfinite(above):
        raise BadOption(f"--above must be a finite number, got {above}")
    if batch_size < 1:
        raise BadOption(f"--batch-size must be a whole number above 0, got {batch_size}")


def _partial(output: Path | None, partial: Path | None, resume: bool) -> Path | None:
    """Where scores are kept as they come; nowhere where nothing is written."""
    if output is not None:
        if output.suffix.lower() not in PAGES:
            raise BadOption(f"the output is a page: give a name that ends in {' or '.join(PAGES)}, got {output}")
        files.check_output(output)
        partial = partial or output.with_name(f"{output.name}.partial.jsonl")
    if resume and partial is None:
        raise BadOption("--resume takes up what a run left beside its --output, or in --partial: give one of them")
    return partial


def _binder(
    name: str, device: str, preset: str, threshold: float | None, clamp: float | None
) -> tuple[Binder, dict[str, Any]]:
    """The binder, and what shapes the events: `preset`, `threshold`, `clamp` (None: the binding's own, or none)."""
    used = find_preset(preset).threshold if threshold is None else threshold
    binding, applied = bind_events(find_binding(name), preset, clamp)
    return load(binding, device=device), {"preset": preset, "threshold": used, "clamp": applied}


def _head(name: str, file: Path | None, options: list[str] | None) -> Head:
    """The head; raises `BadOption` where it has still to learn, or the options do not go together."""
    if file is None:
        head = find_head(name or "zero-shot", predicts="anomaly", **named_values(options))
    elif file.suffix != ".safetensors" or options:
        raise BadOption(
            "--head-file takes a .safetensors file that a head was saved to, and no --option: it has its own"
        )
    else:
        head = find_head(file, predicts="anomaly")
    if file is not None and name not in ("", head.name):
        raise BadOption(f"{file} holds the head {head.name!r}, not {name!r}; leave out --head")
    if head.learns != "nothing" and not head.tensors:
        raise BadOption(
            f"the head {head.name!r} has to be fitted on films first; give the file of one with --head-file"
        )
    return head


def _prepare(head: Head, binder: Binder) -> None:
    """Load what the head needs: what is missing is told before the film is played."""
    for of in head.needs:
        binder.encoder(of)
    head.prepare(binder)


def _tell(film: Path, found: FilmScores, frames: int, strict: bool, kept: Path | None) -> None:
    """Warn of what the scores lack."""
    if found.problem:
        scored = f"scored up to {clock(found.end_us / 1e6, True)}, frame {len(found.times_us) - 1}"
        again = f"; --resume goes on from {kept} once the film is whole" if kept else ""
        if strict:
            raise BadInput(f"{found.problem} ({scored}{again})")
        warnings.warn(f"{found.problem} ({scored}{again})", AnybindWarning, stacklevel=2)
    if len(found.times_us) < frames:
        count = len(found.times_us)
        told = f"{film} is of {count} frames, fewer than the {frames} of a window; it is scored as one shorter window"
        warnings.warn(told, AnybindWarning, stacklevel=2)
    if not found.events.any():
        told = f"nothing in {film} changes enough for an event, so nothing of it can be told apart; lower --threshold"
        warnings.warn(told, AnybindWarning, stacklevel=2)


class Told:
    """What is told of a scored film: scores of its frames, smoothed, and the segments above a threshold."""

    def __init__(self, found: FilmScores, seconds: float, above: float | None) -> None:
        self.found = found
        self.scores = smooth(found.frame_scores, found.times_us, seconds)
        self.rule = "median + 3 robust standard deviations" if above is None else "given"
        self.above = automatic_threshold(self.scores) if above is None else above
        self.segments: list[Segment] = find_segments(self.scores, found.times_us, found.end_us, self.above)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-like; times are seconds."""
        found = self.found
        windows = zip(found.firsts, found.lengths, found.starts_us, found.ends_us, found.events, strict=True)
        return {
            "duration": found.end_us / 1e6,
            "complete": not found.problem,
            "problem": found.problem,
            "segments": [vars(segment) for segment in self.segments],
            "window_scores": found.scores.tolist(),
            "windows": [
                {"first": first, "frames": frames, "start": start / 1e6, "end": end / 1e6, "events": events}
                for first, frames, start, end, events in windows
            ],
            "frame_scores": self.scores.tolist(),
            "frame_times": (found.times_us / 1e6).tolist(),
        }


def _write_page(output: Path, film: Path, told: Told, gallery: Gallery, settings: dict[str, Any]) -> None:
    from anybind_vad.page import write_page

    title = files.name_of_path(film.resolve().name)
    shown = {name.replace("_", " "): value for name, value in settings.items() if value is not None}
    head = settings["head"]
    shown["head"] = f"{head['name']} {head['identity']}"
    shown |= {f"head: {name}": _plain(value) for name, value in head["settings"].items() if value is not None}
    shown["encoders"] = _plain([f"{of} {identity}" for of, identity in settings["encoders"].items()]) or "none"
    write_page(output, title, told.found, told.scores, told.segments, told.above, gallery.shots, shown)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print(film: Path, fps: float, told: Told, settings: dict[str, Any], output: Path | None, as_json: bool) -> None:
    if as_json:
        page = None if output is None else str(output)
        print_json({"film": files.name_of_path(film), "fps": fps, "page": page, "settings": settings, **told.to_dict()})
        return
    rows = [
        (
            clock(each.start, True),
            clock(each.end, True),
            clock(each.peak, True),
            f"{each.score:.4g}",
            f"{each.first} to {each.last}",
        )
        for each in told.segments
    ]
    print_table(
        ("start", "end", "peak", "score", "frames"), rows, f"{film}: {len(rows)} segments above {told.above:.4g}"
    )
    if output is not None:
        typer.echo(f"page: {output}")
