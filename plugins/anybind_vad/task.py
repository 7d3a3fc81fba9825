"""The task `vad`: how well a head tells abnormal frames of films from normal ones."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import AnybindError, AnybindWarning, Binder, Result, load
from anybind.plugin import (
    BadInput,
    BadOption,
    Dataset,
    Head,
    HeadInput,
    Item,
    Task,
    errors,
    files,
    find_head,
    progress_bar,
)
from anybind_vad.embed import BATCH
from anybind_vad.labels import film_label, frame_labels, lesson_labels, majority_labels
from anybind_vad.metrics import draw_roc, measure, roc_auc
from anybind_vad.presets import PAPER, bind_events, find_preset
from anybind_vad.records import FilmRecord, Films, Keep
from anybind_vad.segments import frame_scores, smooth

WAYS = ("train", "others")


@dataclass(frozen=True)
class Scored:
    """A film with its labels and what a head gave it: of frames and of windows."""

    item: Item
    frames: tuple[np.ndarray, np.ndarray]
    windows: tuple[np.ndarray, np.ndarray]


class VideoAnomaly(Task):
    """Areas under the ROC curve and average precision of frames and of windows, over films whose frames have labels.

    Frames score the mean of the windows that they are in; a window's label is that of most of its frames (a tie is
    normal). Intervals are of films drawn with return.
    """

    name = "vad"
    main_metric = "auc"

    def __init__(
        self,
        *,
        head: str = "zero-shot",
        fit_on: str | Sequence[str] = "train",
        preset: str = PAPER,
        threshold: float | None = None,
        clamp: float | None = None,
        frames: int = 16,
        stride: int | None = None,
        smooth: float = 0.0,
        keep: str | os.PathLike[str] | None = None,
        roc: str | os.PathLike[str] | None = None,
        save_head: str | os.PathLike[str] | None = None,
        batch_size: int = BATCH,
        **options: Any,
    ) -> None:
        """Set the question.

        Args:
            head: a head by name, or a file that one was saved to, which is then not fitted.
            fit_on: where the head learns: `train`, the films of the data set's training part; `others`, for each
                film all the others; or the ids of films, which are scored all the same.
            preset: how films become events; see `find_preset`.
            threshold: gray levels, of 255, in place of the preset's.
            clamp: largest count of events of a pixel that is told apart, in place of the preset's.
            frames, stride: of windows; the stride is that of windows side by side if left out.
            smooth: scores of frames, by a bell of this many seconds.
            keep: a folder where embedded films are kept; those that are there are not played again, so that a run
                that was ended goes on, and another head costs little. Below the binder's cache by default, if it has
                one.
            roc: a picture of the ROC curves, of all films and of each, to write.
            save_head: a file for the fitted head to be saved to.
            batch_size: windows that are embedded at a time.
            options: of the head.

        Raises:
            UnknownName, BadOption, BadInput: no such head or preset, an option that the head does not take, or
                files that cannot be written.
        """
        self.make = lambda: find_head(head, predicts="anomaly", **options)
        self.made = self.make()
        self.fit_on = fit_on if isinstance(fit_on, str) and fit_on in WAYS else _ids(fit_on)
        self.preset, self.clamp = preset, clamp
        self.applied: float | None = None
        self.threshold = find_preset(preset).threshold if threshold is None else threshold
        self.size, self.stride = frames, frames if stride is None else stride
        self.smooth, self.batch_size = smooth, batch_size
        _check_numbers({"threshold": threshold, "clamp": clamp, "smooth": smooth})
        _check_whole({"frames": frames, "stride": stride, "batch_size": batch_size})
        self.keep = None if keep is None else Keep(Path(keep))
        self.roc, self.save_head = roc, save_head
        for path in (roc, save_head):
            if path is not None:
                files.check_output(path)
        if save_head is not None and self.fit_on == "others":
            raise BadOption("fit_on=others fits a head for each film: there is not one to save")

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Play the films, fit, score and measure; see `Task.run`. The seed is that of the intervals.

        Films are scored whose frames have labels: those of the part `test`, where the data set has parts.

        The result's metrics are `auc`, `ap` (frames, all films together), `macro_auc`, `macro_ap` (means over
        films with both kinds), and the same of windows as `window_auc`, ...; what is not defined is left out, and
        `notes` says why. Its samples are films, compared with no candidates. Its details also hold intervals, how many
        `frames` and `windows` there are, `films` (a row each) and `settings`.
        """
        if modality != "event":
            raise BadOption(
                f"films are seen as windows of events, not as {modality}; the head 'image' reads their pictures"
            )
        binding, self.applied = bind_events(binder.binding, self.preset, self.clamp)
        if self.applied is not None:
            counts = binder.counts
            binder = load(binding, device=binder.device, store=binder.store)
            binder.counts = counts
        self.made = self.make()  # what another run has fitted is not this one's
        self.made.prepare(binder)
        asked, lessons = self._parts(dataset)
        records = self._records(binder, [*asked, *lessons], on_bad)
        scored = list(self._score(binder, records, asked, lessons))
        if not scored:
            raise BadInput(f"{dataset.name} holds no films that can be scored")
        return self._result(binder, dataset, scored, seed, records)

    def _parts(self, dataset: Dataset) -> tuple[list[Item], list[Item]]:
        """The films that are scored, and those that are learned from (both, where the same ones are)."""
        ids = [item.id for item in dataset.items]
        if len(set(ids)) < len(ids):
            raise BadInput(f"{dataset.name} has two films of one id, which no result could tell apart")
        asked = [item for item in dataset.items if item.notes.get("split", "test") == "test"]
        if not asked:
            raise BadInput(f"{dataset.name} has no films of its test part here: there is nothing to score")
        if self.made.learns == "nothing" or self.made.tensors:
            return asked, []
        if self.fit_on == "others":
            return asked, asked
        if self.fit_on == "train":
            lessons = [item for item in dataset.items if item.notes.get("split") == "train"]
            if not lessons:
                raise BadInput(
                    f"{dataset.name} has no films of its training part here, and the head {self.made.name!r} has to"
                    " learn: use fit_on=others, or the ids of films"
                )
            return asked, lessons
        for id in self.fit_on:
            if id not in ids:
                raise BadOption(f"fit_on names the film {id!r}, which {dataset.name} does not have")
        return asked, [item for item in dataset.items if item.id in self.fit_on]

    def _records(self, binder: Binder, items: Sequence[Item], on_bad: errors.OnBad | None) -> dict[str, FilmRecord]:
        """The films, played or taken up, by id; those that cannot be used are told of and left out."""
        how = {"frames": self.size, "stride": self.stride, "threshold": self.threshold}
        films = Films(binder, self.made.needs, self.keep, self.batch_size, how)
        once = list({item.id: item for item in items}.values())
        films.play_ahead(once)
        found: dict[str, FilmRecord] = {}
        with progress_bar(len(once), "films") as advance:
            for item in once:
                try:
                    found[item.id] = films.record(item)
                except AnybindError as error:
                    if on_bad is None:
                        raise
                    on_bad(item.id, error)
                advance(1)
        return found

    def _score(
        self, binder: Binder, records: Mapping[str, FilmRecord], asked: Sequence[Item], lessons: Sequence[Item]
    ) -> Any:
        head = self.made
        if lessons and self.fit_on != "others":
            self._fit(head, records, lessons)
            if self.save_head is not None:
                head.save(self.save_head)
        for item in asked:
            if item.id not in records:
                continue
            record = records[item.id]
            labels = frame_labels(item, len(record.times_us))
            if labels is None:
                raise BadInput(f"the data set does not say which frames of {item.id} are abnormal")
            if lessons and self.fit_on == "others":
                head = self.make()
                head.prepare(binder)
                self._fit(head, records, [other for other in lessons if other.id != item.id])
            scores = head.score(record.windows)
            of_frames = frame_scores(record.firsts.tolist(), record.lengths.tolist(), scores, len(labels))
            of_frames = smooth(of_frames, record.times_us, self.smooth)
            yield Scored(item, (labels, of_frames), (majority_labels(labels, record.spans), scores))

    def _fit(self, head: Head, records: Mapping[str, FilmRecord], lessons: Sequence[Item]) -> None:
        used = [item for item in lessons if item.id in records]
        if not used:
            raise BadInput(f"the head {head.name!r} has no videos to learn from")
        inputs = HeadInput.concatenate([records[item.id].windows for item in used])
        if head.learns == "groups":
            head.fit(inputs, [film_label(item) for item in used])
            return
        marks = []
        for item in used:
            labels = frame_labels(item, len(records[item.id].times_us))
            spans = records[item.id].spans
            marks.append(np.full(len(spans), -1) if labels is None else lesson_labels(labels, spans))
        head.fit(inputs, np.concatenate(marks))

    def _result(
        self, binder: Binder, dataset: Dataset, scored: Sequence[Scored], seed: int, records: Mapping[str, FilmRecord]
    ) -> Result:
        frames, details = measure(*zip(*(each.frames for each in scored), strict=True), seed=seed)
        windows, of_windows = measure(*zip(*(each.windows for each in scored), strict=True), seed=seed)
        for note in details["notes"]:
            warnings.warn(f"{dataset.name}: {note}", AnybindWarning, stacklevel=3)
        if self.roc is not None:
            every = {each.item.id: each.frames for each in scored} if len(scored) <= 8 else {}
            labels, scores = ([each.frames[place] for each in scored] for place in (0, 1))
            both = {"all films": (np.concatenate(labels), np.concatenate(scores))}
            draw_roc(Path(self.roc), both | every, f"{dataset.name}: {self.made.name}")
        made = next(iter(records.values())).windows.embeddings
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality="event",
            encoders={of: rows.encoder for of, rows in made.items()},
            seed=seed,
            n=len(scored),
            gallery_size=0,
            metrics=frames | {f"window_{name}": value for name, value in windows.items()},
            details={
                **details,
                **{f"window_{name}": value for name, value in of_windows.items()},
                "frames": sum(len(each.frames[0]) for each in scored),
                "windows": sum(len(each.windows[0]) for each in scored),
                "films": [_row(each) for each in scored],
                "settings": self._settings(),
            },
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "head": {"name": self.made.name, **self.made.settings},
            "fit_on": self.fit_on if self.made.learns != "nothing" else None,
            "threshold": self.threshold,
            "clamp": self.applied,
            "frames": self.size,
            "stride": self.stride,
            "smooth": self.smooth,
        }


def _ids(films: str | Sequence[str]) -> list[str]:
    """The ids of films; a name may look like a number."""
    listed = list(films) if isinstance(films, Sequence) and not isinstance(films, str) else [films]
    return [str(id) for id in listed]


def _check_numbers(given: Mapping[str, float | None]) -> None:
    for name, number in given.items():
        if number is not None and not (isinstance(number, int | float) and 0 <= number < np.inf):
            raise BadOption(f"{name} must be a number, 0 or more, got {number!r}")


def _check_whole(given: Mapping[str, int | None]) -> None:
    for name, number in given.items():
        if number is not None and not (isinstance(number, int) and number > 0):
            raise BadOption(f"{name} must be a whole number above 0, got {number!r}")


def _row(scored: Scored) -> dict[str, Any]:
    labels, scores = scored.frames
    told = {"frames": len(labels), "abnormal": int(labels.sum()), "auc": roc_auc(labels, scores)}
    return {"film": scored.item.id, **told, "mean_score": float(scores.mean())}
