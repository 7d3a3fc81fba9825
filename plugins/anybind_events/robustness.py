"""The task `robustness`: how an event encoder bears corrupted recordings, with and without filters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anybind import AnybindError, Binder, Result
from anybind.plugin import (
    BadInput,
    BadOption,
    Dataset,
    Item,
    Task,
    errors,
    intervals,
    loops,
    modalities,
    prompts,
    readers,
    windows,
)
from anybind_events.corruption import SEVERITIES, corrupt_events, find_corruption
from anybind_events.filter import create_filters
from anybind_events.stream import EventStream

FILTERS = "flicker,hot-pixel,background-activity"
"""Default filters, in an order in which none hides what a later one looks for."""
NONE = "none"
Advance = Callable[[int], None]
WHOLE = windows.WindowOptions(window=windows.WHOLE)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What became of the recordings under one severity, (n,) each: correct answers, and cosines to the clean ones."""

    hits: np.ndarray
    cosines: np.ndarray


class Robustness(Task):
    """Robustness of an event encoder: accuracy and cosine to the clean embedding under a corruption."""

    name = "robustness"
    main_metric = "top1"

    def __init__(
        self,
        *,
        corruption: str = "background-noise",
        severities: Sequence[int] = SEVERITIES,
        filters: str = FILTERS,
        templates: str | Iterable[str] | None = None,
        windows: windows.WindowOptions | None = None,
    ) -> None:
        """Set the corruption and the filters.

        Args:
            corruption: a name of `anybind corrupt`, or `none`: then the filters alone change the recordings.
            severities: some of 1, 2 and 3; the metrics are means over them.
            filters: the filters that are compared with no filter, as for `--filter`; empty for none.
            templates: prompt templates with `{}` for the class name. [default: those of the text encoder]
            windows: windows of the recordings, whose embeddings are averaged. [default: each recording as a whole]

        Raises:
            BadOption, UnknownName: no such corruption, severity or filter, or a template without `{}`.
        """
        if corruption != NONE:
            find_corruption(corruption)
        if not severities or not set(severities) <= set(SEVERITIES):
            raise BadOption(f"severities: expected some of 1, 2, 3, got {list(severities)}")
        create_filters(filters)
        if windows is not None and windows.filters:
            raise BadOption("--filter: give the filters to compare as the task's option filters")
        given = [templates] if isinstance(templates, str) else templates
        self.templates = None if given is None else prompts.check_templates(given)
        self.corruption, self.filters = corruption, filters
        self.severities = (0,) if corruption == NONE else tuple(dict.fromkeys(severities))
        self.windows = windows or WHOLE

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed clean, corrupted and filtered recordings; see `Task.run`.

        The metrics are `top1` (if the samples have labels) and `cosine` (to the embedding of the clean recording), of
        corrupted recordings without filters; `filtered_top1` and `filtered_cosine`, of the same with filters; and
        `clean_top1`. A recording of which no event is left counts as wrong, with a cosine of 0. Intervals are over
        bootstrap resamples of the recordings. Details: `severities`, with the metrics of each.
        """
        if modality != "event":
            raise BadOption(f"robustness: expected the modality event, got {modality}")
        texts, truth = self._embed_classes(binder, dataset)
        passes = 1 + len(self.severities) * (2 if self.filters else 1)
        with loops.progress_bar(passes * len(dataset.items), "evaluating robustness") as advance:
            embed = Embedding(binder, self.corruption, seed, self.windows, advance)
            clean = embed.embed_clean(dataset.items, on_bad)
            if not clean:
                raise BadInput(f"{dataset.name}: no valid recordings")
            items = [(number, item) for number, item in enumerate(dataset.items) if item.id in clean]
            labels = None if truth is None else np.array([truth[item.id] for _, item in items])
            vectors = np.stack([clean[item.id] for _, item in items])
            by_filter = {
                filters: [
                    _measure(embed.embed_corrupted(items, severity, filters), vectors, texts, labels)
                    for severity in self.severities
                ]
                for filters in dict.fromkeys(("", self.filters))
            }
        metrics, bounds = self._summarize(
            by_filter, _measure(vectors, vectors, texts, labels), labels is not None, seed
        )
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={each: binder.identity(each) for each in (modality, *(("text",) if truth else ()))},
            seed=seed,
            n=len(items),
            gallery_size=len(dataset.classes) if truth else 0,
            metrics=metrics,
            intervals=bounds,
            chance={} if truth is None else {"top1": 1 / len(dataset.classes)},
            undefined={} if truth else dict.fromkeys(("top1", "filtered_top1", "clean_top1"), "no labels"),
            prompts=() if truth is None else tuple(prompts.choose_templates(binder, "text", self.templates)),
            details=self._describe(by_filter, labels is not None),
        )

    def _embed_classes(self, binder: Binder, dataset: Dataset) -> tuple[np.ndarray | None, dict[str, int] | None]:
        """Return the embeddings of the classes and the class of each sample; None without labels."""
        if len({item.id for item in dataset.items}) < len(dataset.items):
            raise BadInput(f"{dataset.name}: expected unique sample ids, got duplicates")
        classes = list(dataset.classes)
        if not classes or not all(item.label in classes for item in dataset.items):
            return None, None
        templates = prompts.choose_templates(binder, "text", self.templates)
        embedded = prompts.embed_class_names(binder, "text", classes, templates)
        return embedded.vectors, {item.id: classes.index(item.label) for item in dataset.items}

    def _summarize(
        self, by_filter: Mapping[str, Sequence[Measurement]], clean: Measurement, labelled: bool, seed: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        samples = {"clean_top1": clean.hits} if labelled else {}
        for filters, prefix in (("", ""), (self.filters, "filtered_")):
            rows = by_filter[filters]
            if labelled:
                samples[f"{prefix}top1"] = np.mean([each.hits for each in rows], axis=0)
            samples[f"{prefix}cosine"] = np.mean([each.cosines for each in rows], axis=0)
        bounds = {}
        for name, values in samples.items():
            n = len(values)
            estimates = [float(draw @ values) / n for draw in intervals.draw_resamples(n, seed)]
            bounds[name] = intervals.compute_percentile_interval(estimates)
        return {name: float(values.mean()) for name, values in samples.items()}, bounds

    def _describe(self, by_filter: Mapping[str, Sequence[Measurement]], labelled: bool) -> dict[str, object]:
        rows = []
        for position, severity in enumerate(self.severities):
            row: dict[str, object] = {"severity": severity}
            for filters, prefix in (("", ""), (self.filters, "filtered_")):
                each = by_filter[filters][position]
                row |= {f"{prefix}top1": float(each.hits.mean())} if labelled else {}
                row[f"{prefix}cosine"] = float(each.cosines.mean())
            rows.append(row)
        options = {"corruption": self.corruption, "filters": self.filters, "windows": self.windows.to_dict()}
        return {**options, "severities": rows}


class Embedding:
    """Embedding of the recordings of a dataset, clean or corrupted, one pass over them at a time."""

    def __init__(
        self, binder: Binder, corruption: str, seed: int, options: windows.WindowOptions, advance: Advance
    ) -> None:
        """Set the binding and what to do to each recording; `advance` is called with 1 for each that is done."""
        self._binder, self._corruption, self._seed = binder, corruption, seed
        self._options, self._advance = options, advance

    def embed_clean(self, items: Sequence[Item], on_bad: errors.OnBad | None) -> dict[str, np.ndarray]:
        """Return the embeddings by id; call `on_bad` with each invalid item, or raise its error."""

        def load() -> Iterator[Item]:
            for item in items:
                try:
                    stream = load_recording(item, self._seed)
                except AnybindError as error:
                    if on_bad is None:
                        raise
                    on_bad(item.id, error)
                else:
                    yield Item(item.id, stream, item.label)

        return self._embed(load(), "", on_bad)

    def embed_corrupted(self, items: Sequence[tuple[int, Item]], severity: int, filters: str) -> np.ndarray:
        """Return the embeddings of numbered items, (n, d); 0 for a recording without events."""

        def load() -> Iterator[Item]:
            for number, item in items:
                stream = load_recording(item, self._seed)
                if self._corruption != NONE:
                    seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
                    stream = corrupt_events(stream, self._corruption, severity=severity, seed=seed).stream
                yield Item(item.id, stream, item.label)

        rows = self._embed(load(), filters, lambda _, error: None)
        dimension = self._binder.embed("event", []).vectors.shape[1]
        return np.stack([rows.get(item.id, np.zeros(dimension)) for _, item in items])

    def _embed(self, items: Iterator[Item], filters: str, on_bad: errors.OnBad | None) -> dict[str, np.ndarray]:
        options = replace(self._options, filters=filters)
        recordings = windows.embed_windows(
            self._binder, "event", items, options, on_bad=on_bad, advance=self._advance
        )  # fmt: skip
        return {each.item.id: each.average().vectors[0] for each in recordings if len(each.embeddings)}


def load_recording(item: Item, seed: int) -> EventStream:
    """Return the recording of an item, simulated if it is an image or a video.

    Raises:
        BadInput: the item is neither a recording nor a sample that one can be simulated of.
    """
    kind, source = modalities.find_modality("event"), item.source
    if not isinstance(source, str | os.PathLike):
        sample = kind.as_sample(source) if kind.accepts(source) else modalities.derive("event", source, seed=seed)
    else:
        part = readers.find_reader(Path(source), "event", item.options)
        sample = readers.read(source, reader=part, **item.options)
        sample = modalities.derive("event", sample, source=part.spec.modality, seed=seed)
    if not isinstance(sample, EventStream):
        raise BadInput(f"{item.id}: expected an event recording, got a {type(sample).__name__}")
    kind.check(sample)
    return sample


def _measure(rows: np.ndarray, clean: np.ndarray, texts: np.ndarray | None, labels: np.ndarray | None) -> Measurement:
    cosines = (rows * clean).sum(axis=1)
    if texts is None or labels is None:
        return Measurement(np.zeros(len(rows)), cosines)
    answered = np.any(rows != 0, axis=1)
    return Measurement(((rows @ texts.T).argmax(axis=1) == labels) & answered, cosines)
