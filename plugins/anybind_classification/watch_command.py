"""`anybind watch`: see `anybind_classification.watch`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybind import AnybindError, load
from anybind.commandline import (
    Backend,
    BindingName,
    Device,
    Filters,
    LiveTable,
    Prompts,
    ReaderOptions,
    check_unit,
    parse_options,
    parse_reader_options,
    print_json,
    print_table,
    print_text,
)
from anybind.plugin import BadInput, BadOption, Head, files, prompts, tables, windows
from anybind_classification.live import LiveAnswer, WatchSummary, format_state
from anybind_classification.live import watch as watch_source

if TYPE_CHECKING:
    from anybind_classification.live_page import LivePage

BAR = 20
"""Characters of the bar of a probability of 1."""

Show = Callable[[LiveAnswer], None]

QueueTime = Annotated[str, typer.Option(help="Time that events may wait until they are used.")]
DropPolicy = Annotated[
    str, typer.Option(help="What to drop if events arrive too fast: oldest, newest, or block to drop nothing.")
]
Timeout = Annotated[
    float, typer.Option(min=0, help="Seconds without data after which the source counts as stalled; 0: never.")
]
SourceOptions = Annotated[
    list[str] | None, typer.Option(help="NAME=VALUE for the source, such as size=1280x720; repeatable.")
]
StopAfter = Annotated[str, typer.Option(help="Stop after this time of the source's clock: 10s. [default: never]")]
Speed = Annotated[
    float | None,
    typer.Option(help="Seconds of a recording replayed in a second; 0: as fast as possible. [default: 1]"),
]
EventRate = Annotated[
    float | None, typer.Option(help="Events per second of a replay, instead of --speed: times are scaled to match.")
]


def watch(
    source: Annotated[str, typer.Argument(help="Recording to replay, - for the standard input, or name of a source.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas ("a hand,a ball"), or a file.')] = "",
    head: Annotated[
        str, typer.Option(help="File of a fitted classification head (.safetensors), instead of --labels.")
    ] = "",
    binding: BindingName = "mini",
    prompt: Prompts = None,
    window: Annotated[str, typer.Option(help="Length of the windows: 100ms, or 5000ev (events).")] = "100ms",
    stride: Annotated[
        str, typer.Option(help="From the start of a window to the next: 50ms, 2500ev. [default: --window]")
    ] = "",
    filters: Filters = "",
    speed: Speed = None,
    rate: EventRate = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Replay a recording again and again, with continued time.")
    ] = False,
    source_option: SourceOptions = None,
    reader_option: ReaderOptions = None,
    queue: QueueTime = "1s",
    drop: DropPolicy = "oldest",
    timeout: Timeout = 10.0,
    duration: StopAfter = "",
    top_k: Annotated[int, typer.Option(min=1, help="Number of labels to show.")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON lines of --jsonl to this file, too.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Serve a page with the answers, on 127.0.0.1 only.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page. [default: a free one]")] = 0,
    device: Device = "cpu",
    backend: Backend = "auto",
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON object a window, and one at the end, each on a line.")
    ] = False,
) -> None:
    """Classify what an event camera, a replay or another program sends, by text labels, as it arrives.

    Ctrl-C ends it with a summary.
    """
    if bool(labels) == bool(head) or (head and prompt):
        raise BadOption("expected either --labels (and --prompt), or --head")
    for name, value in (("window", window), ("stride", stride), ("queue", queue), ("duration", duration)):
        check_unit(name, value)
    label_names = tables.parse_names(labels) if labels else []
    fitted_head = Head.find(head, predicts="classification") if head else None
    end_us = windows.parse_duration(duration, windows.MICROSECONDS, "duration") if duration else None
    options = _join_options({"speed": speed, "rate": rate, "loop": loop or None}, parse_options(source_option))
    binder = load(binding, device=device, backend=backend)
    templates = prompts.choose_templates(binder, "text", prompt) if labels else None
    summary, score_name = WatchSummary(), "score" if fitted_head else "cosine"
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(_write_lines(output, source, score_name))
        live_page = stack.enter_context(_serve_page(port, source)) if page else None
        shows: list[Show] = [live_page.show] if live_page else []
        shows.append(stack.enter_context(_show_answers(as_lines, top_k, score_name)))
        answers = watch_source(
            source, label_names, window=window, stride=stride, head=fitted_head, binding=binder, templates=templates,
            queue=queue, drop=drop, timeout=timeout, filters=filters, source_options=options,
            reader_options=parse_reader_options(reader_option), warm_up=live_page.warm_up if live_page else None,
        )  # fmt: skip
        error = _follow(answers, summary, [write, *shows], end_us)
        ending = {"summary": summary.to_dict(), **({"error": str(error)} if error else {})}
        write(ending)
    _print_summary(summary, ending, as_lines)
    if error is not None:
        raise error


def _join_options(replay: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Return the options of the source; raise `BadOption` for one that is given twice."""
    options = {name: value for name, value in replay.items() if value is not None}
    for name in options.keys() & given.keys():
        raise BadOption(f"give either --{name} or --source-option {name}=, not both")
    return {**options, **given}


def _follow(
    answers: Iterator[LiveAnswer], summary: WatchSummary, outputs: list[Callable[..., None]], end_us: int | None
) -> AnybindError | None:
    """Pass the answers on until the source ends, fails, or Ctrl-C; return the error of the source."""
    with contextlib.closing(answers):  # pyright: ignore[reportArgumentType]
        try:
            for answer in answers:
                summary.add(answer)
                for show in outputs:
                    show(answer)
                if end_us is not None and answer.end_us >= end_us:
                    break
        except KeyboardInterrupt:
            pass
        except AnybindError as error:
            return error
    return None


@contextlib.contextmanager
def _write_lines(
    path: Path | None, source: str, score_name: str
) -> Iterator[Callable[[LiveAnswer | dict[str, object]], None]]:
    """Yield a function that writes JSON lines to a file as they come; to none without a path.

    Raises:
        BadInput: the file cannot be written, or is the source.
    """
    if path is None:
        yield lambda answer: None
        return
    try:
        with files.check_output(path, inputs=[source]).open("w", encoding="utf-8") as file:

            def write(answer: LiveAnswer | dict[str, object]) -> None:
                record = answer.to_dict(score_name) if isinstance(answer, LiveAnswer) else answer
                file.write(json.dumps(record) + "\n")
                file.flush()

            yield write
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def _serve_page(port: int, source: str) -> Iterator[LivePage]:
    """Serve a page and print its address."""
    from anybind_classification.live_page import LivePage

    with LivePage(port, source) as page:
        print_text(f"page: {page.url}", err=True)
        yield page


@contextlib.contextmanager
def _show_answers(as_lines: bool, top_k: int, score_name: str) -> Iterator[Show]:
    """Yield a function that shows an answer: a table drawn in place on a terminal, a line otherwise."""
    if as_lines:
        yield lambda answer: print_json(answer.to_dict(score_name))
    elif sys.stdout.isatty():
        with LiveTable() as table:
            columns = ("label", score_name, "probability", "")
            yield lambda answer: table.draw(columns, _format_rows(answer, top_k), format_state(answer))
    else:
        yield lambda answer: print_text(_format_line(answer))


def _format_rows(answer: LiveAnswer, top_k: int) -> Iterator[tuple[str, ...]]:
    for score in answer.answer.scores[:top_k]:
        bar = "█" * round(BAR * score.probability)
        yield score.label, f"{score.score:.3f}", f"{100 * score.probability:.1f} %", f"{bar:<{BAR}}"
    if not answer.answer.scores:
        yield answer.answer.inactivity, "", "", " " * BAR


def _format_line(answer: LiveAnswer) -> str:
    best = answer.answer.scores[0] if answer.answer.scores else None
    scored = f"{best.label}  {best.score:.3f}  {100 * best.probability:.1f} %" if best else answer.answer.inactivity
    return f"{scored}  {format_state(answer)}"


def _print_summary(summary: WatchSummary, record: dict[str, object], as_lines: bool) -> None:
    if as_lines:
        print_json(record)
        return
    total = summary.answers.total()
    rows = [(name, str(count), f"{100 * count / total:.0f} %") for name, count in summary.answers.most_common()]
    if rows:
        print_table(("answer", "windows", "share"), rows)
    numbers = summary.to_dict()
    latency, counts = numbers["latency_ms"], numbers["counts"]
    if summary.last is not None and isinstance(latency, dict) and isinstance(counts, dict):
        notes = ", ".join(f"{value} {name}" for name, value in counts["notes"].items())
        print_text(
            f"{total} windows, {numbers['encoder_calls']} encoder calls, latency p50 {latency['p50']:.0f} ms"
            f" p99 {latency['p99']:.0f} ms; {counts['events']} events, {counts['dropped']} dropped,"
            f" {counts['jumps']} jumps of the clock{f' ({notes})' if notes else ''}"
        )
    else:
        print_text("no window was complete")
