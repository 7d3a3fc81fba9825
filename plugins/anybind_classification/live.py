"""Classification of live sources: an answer for each window, as soon as it is complete."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anybind import Binder, Embeddings, load
from anybind.plugin import BadInput, BadOption, Head, create_part, list_parts, modalities, prompts, samples
from anybind.plugin import windows as windowing
from anybind_classification.classification import Classification, Ranker, build_ranker

MODALITY = "event"
STDIN, STDIN_DESCRIPTOR = "-", 0
RATE_ANSWERS = 20
"""Number of the last answers from which their rate is computed."""
MAX_LATENCIES = 100_000
"""Number of the last latencies of which percentiles are computed."""


class Window(Protocol):
    """A window of a source; see `anybind_events.LiveWindow`."""

    @property
    def events(self) -> samples.EventSample: ...
    @property
    def start_us(self) -> int: ...
    @property
    def end_us(self) -> int: ...
    @property
    def inactivity(self) -> str: ...
    @property
    def event_rate(self) -> float: ...
    @property
    def arrival_s(self) -> float: ...
    @property
    def counts(self) -> object: ...


class DividedSource(Protocol):
    """A live source; see `anybind_events.LiveSource`."""

    def windows(
        self,
        length: str | int | float = ...,
        stride: str | int | float = ...,
        *,
        queue: str | int | float = ...,
        drop: str = ...,
        timeout: float = ...,
        filters: object = ...,
        warm_up: Callable[[Window], object] | None = ...,
    ) -> Iterator[Window]:
        """Divide what it sends into windows."""
        ...


Source = str | os.PathLike[str] | DividedSource


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """The answer of one window of a live source.

    Attributes:
        start_us, end_us: times of the window, start <= t < end, in microseconds after the first event.
        answer: the scores of all labels, or why there are none.
        share: fraction of the windows so far with this answer, 0 to 1.
        event_rate: events per second of the source's clock.
        latency_ms: milliseconds from the arrival of the chunk that completed the window to the answer.
        answer_rate: answers per second, over the last 20.
        encoder_calls: calls of the encoder so far: one for each window in which something moves.
        counts: what has arrived so far: `events`, `dropped`, `queued`, `backwards`, `jumps` and `notes`.
        embedding: one row, the embedding of the window; None where nothing moves.
        sample: the events of the window.
    """

    start_us: int
    end_us: int
    answer: Classification
    share: float
    event_rate: float
    latency_ms: float
    answer_rate: float
    encoder_calls: int
    counts: Mapping[str, Any]
    embedding: Embeddings | None
    sample: samples.EventSample

    @property
    def name(self) -> str:
        """The label, or why there is none."""
        return self.answer.label or self.answer.inactivity

    def to_dict(self, score_name: str = "cosine") -> dict[str, object]:
        """Return all fields but events and embedding, JSON-like; times in microseconds, scores under `score_name`."""
        scores = [
            {"label": each.label, score_name: each.score, "probability": each.probability}
            for each in self.answer.scores
        ]
        inactivity = {"inactivity": self.answer.inactivity} if self.answer.inactivity else {}
        names = ("share", "event_rate", "latency_ms", "answer_rate", "encoder_calls", "counts")
        return {
            "start_us": self.start_us,
            "end_us": self.end_us,
            "label": self.answer.label or None,
            **inactivity,
            "scores": scores,
            **{name: getattr(self, name) for name in names},
        }


@dataclass
class WatchSummary:
    """What was seen of a live source: `add` takes the answers, one after the other.

    Attributes:
        answers: number of windows with each answer, by label or inactivity.
        latencies_ms: the last 100,000 latencies, milliseconds.
        last: the last answer; None before the first.
    """

    answers: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))
    last: LiveAnswer | None = None

    def add(self, answer: LiveAnswer) -> None:
        """Add the next answer."""
        self.answers[answer.name] += 1
        self.latencies_ms.append(answer.latency_ms)
        self.last = answer

    def to_dict(self) -> dict[str, object]:
        """Return numbers of windows, shares, latencies and counts, JSON-like."""
        total = self.answers.total()
        shares = {name: count / total for name, count in self.answers.most_common()}
        p50, p99 = np.percentile(self.latencies_ms, (50, 99)).tolist() if self.latencies_ms else (None, None)
        return {
            "windows": total,
            "shares": shares,
            "latency_ms": {"p50": p50, "p99": p99},
            "encoder_calls": self.last.encoder_calls if self.last else 0,
            "counts": dict(self.last.counts) if self.last else {},
        }


def watch(
    source: Source,
    labels: Sequence[str] = (),
    *,
    window: str | int | float = "100ms",
    stride: str | int | float = "",
    head: str | os.PathLike[str] | Head | None = None,
    binding: str | os.PathLike[str] | Binder = "mini",
    templates: Sequence[str] | None = None,
    device: str = "cpu",
    queue: str | int | float = "1s",
    drop: str = "oldest",
    timeout: float = 10.0,
    filters: object = (),
    source_options: Mapping[str, object] | None = None,
    reader_options: Mapping[str, object] | None = None,
    warm_up: Callable[[LiveAnswer], object] | None = None,
) -> Iterator[LiveAnswer]:
    """Classify the windows of a live source by text labels (zero-shot), or by a fitted head, as they are complete.

    A window in which nothing moves has no label. Each other window is one call of the encoder. The source ends when the
    generator is closed or ends.

    What runs for the first time takes longer: so before the source starts, with the first `next`, made-up windows are
    classified. They are not counted.

    Args:
        source: an event recording, which is replayed in real time; `-` for the standard input; the name of a registered
            source; or a `anybind_events.LiveSource`.
        labels, head, templates, device: see `classify`.
        binding: name or TOML file of a binding, or a binder.
        window: length of the windows, a duration (`"100ms"`, or microseconds) or a number of events (`"5000ev"`).
        stride: from the start of a window to that of the next, in the same unit. [default: the length]
        queue, drop, timeout, filters: see `anybind_events.LiveSource.windows`.
        source_options: options of the source, by name: `speed`, `rate` (events per second) and `loop` of a replay.
        reader_options: options of the reader of a recording, such as `source` for one of several cameras.
        warm_up: called with the answers of the made-up windows, to do what is done with an answer.

    Returns:
        the answers, in order of time.

    Raises:
        BadOption, UnknownName: as `classify`, no such source, or an invalid option.
        BadInput: the source is missing, sends what cannot be decoded, or has sent nothing for `timeout` seconds.
    """
    labels = prompts.list_labels(labels)
    if bool(labels) == (head is not None):  # before the binding is loaded
        raise BadOption(f"expected either labels or a head, got {'both' if labels else 'neither'}")
    opened = open_source(source, source_options, reader_options)

    def classify_made_up(window: Window) -> None:
        answer = _WindowClassifier(binder, rank)(window, "")  # with counts of its own
        if warm_up is not None:
            warm_up(answer)

    windows = opened.windows(
        window, stride, queue=queue, drop=drop, timeout=timeout, filters=filters, warm_up=classify_made_up
    )  # checks the options
    binder = binding if isinstance(binding, Binder) else load(binding, device=device)
    binder, rank = build_ranker(binder, labels, templates, head)
    return _classify_windows(windows, _WindowClassifier(binder, rank))


def open_source(
    source: Source,
    options: Mapping[str, object] | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> DividedSource:
    """Create the source that a path or a name stands for; see `watch`.

    Raises:
        BadOption, UnknownName, BadInput: see `watch`.
    """
    if not isinstance(source, str | os.PathLike):
        if options or reader_options:
            raise BadOption("options are of sources that are given by name")
        if isinstance(source, samples.EventSample) or not callable(getattr(source, "windows", None)):
            expected = "the path of a recording, the name of a source, or a LiveSource"
            raise BadInput(f"expected {expected}, got {modalities.describe_type(source)}")
        return source
    # Positional arguments are not options: neither accepted among these, nor listed in errors.
    name, options = os.fspath(source), dict(options or {})
    is_registered = name in {part.name for part in list_parts("source")}
    if name != STDIN and not is_registered and (Path(name).exists() or Path(name).suffix):
        return create_part("source", "replay", name, reader_options, **options)
    if reader_options and (name == STDIN or is_registered):
        raise BadOption(f"source {name!r}: only recordings have reader options; others have options of the source")
    if name == STDIN:
        return create_part("source", "stdin", STDIN_DESCRIPTOR, **options)
    return create_part("source", name, **options)  # of an unknown name: raises with the nearest ones


def _classify_windows(windows: Iterator[Window], classify: _WindowClassifier) -> Iterator[LiveAnswer]:
    try:
        for window in windows:
            yield classify(window, window.inactivity)
    finally:
        close = getattr(windows, "close", None)
        if close is not None:
            close()


class _WindowClassifier:
    """Classifies one window at a time, in the calling thread: `Binder.embed` loads ahead, in threads."""

    def __init__(self, binder: Binder, rank: Ranker) -> None:
        self._encoder, self._route = binder.encoder(MODALITY), binder.route(MODALITY)
        self._modality, self._rank = modalities.find_modality(MODALITY), rank
        self._seen: Counter[str] = Counter()
        self._times: deque[float] = deque(maxlen=RATE_ANSWERS)
        self._encoder_calls = 0

    def __call__(self, window: Window, inactivity: str) -> LiveAnswer:
        """Return the answer of the next window, which is embedded unless there is a reason for no label."""
        id = f"window[{self._seen.total()}]"
        if inactivity:
            embedding, answer = None, Classification(id, MODALITY, (), inactivity)
        else:
            embedding = self._embed(window.events, id)
            (answer,) = self._rank(embedding)
        now, times = time.monotonic(), self._times
        times.append(now)
        name = answer.label or answer.inactivity
        self._seen[name] += 1
        return LiveAnswer(
            window.start_us,
            window.end_us,
            answer,
            self._seen[name] / self._seen.total(),
            window.event_rate,
            (now - window.arrival_s) * 1e3,
            (len(times) - 1) / (now - times[0]) if now > times[0] else 0.0,
            self._encoder_calls,
            vars(window.counts),
            embedding,
            window.events,
        )

    def _embed(self, sample: object, id: str) -> Embeddings:
        encoder = self._encoder
        self._encoder_calls += 1
        vectors = encoder.encode([encoder.preprocess(self._modality.as_sample(sample))])
        embeddings = Embeddings(
            np.asarray(vectors, np.float32), encoder.space, MODALITY, (id,), encoder.identity, encoder.logit_scale
        )
        for adapter in self._route:
            embeddings = adapter(embeddings)
        return embeddings


def format_state(answer: LiveAnswer) -> str:
    """Format time, event rate, answers per second, latency and drops of an answer."""
    dropped = answer.counts["dropped"]
    return (
        f"{windowing.format_range(answer.start_us, answer.end_us)}  {_format_rate(answer.event_rate)}"
        f"  {answer.answer_rate:.1f} answers/s  latency {answer.latency_ms:.0f} ms"
        + (f"  dropped {dropped} events" if dropped else "")
    )


def _format_rate(rate: float) -> str:
    return f"{rate / 1e6:.2f} Mev/s" if rate >= 1e6 else f"{rate / 1e3:.1f} kev/s"
