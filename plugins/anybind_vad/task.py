"""The task `vad`: how well a head tells abnormal frames of videos from normal ones."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from anybind import AnybindError, AnybindWarning, Binder, EmbeddingStore, Result, load
from anybind.plugin import BadInput, BadOption, Dataset, Head, HeadInput, Item, Task, errors, files, progress_bar, ranks
from anybind_vad.embedding import BATCH_SIZE, EmbeddedVideo, VideoEmbeddings
from anybind_vad.labels import get_video_label, get_frame_labels, compute_training_labels, compute_window_labels
from anybind_vad.metrics import draw_roc, compute_metrics, compute_roc_auc, compute_roc_curve
from anybind_vad.presets import PAPER, WINDOW_FRAMES, apply_preset, check_count, check_number, choose_windows
from anybind_vad.segments import compute_frame_scores, smooth_scores
from anybind_vad.windows import open_video

WAYS = ("train", "others")
V = TypeVar("V")


@dataclass(frozen=True)
class ScoredVideo:
    """A video with labels and scores, of frames and of windows."""

    item: Item
    frames: tuple[np.ndarray, np.ndarray]
    windows: tuple[np.ndarray, np.ndarray]


class VideoAnomaly(Task):
    """Areas under the ROC curve and average precision of frames and of windows, over videos whose frames have labels.

    Frames score the mean of the windows that they are in; a window's label is that of most of its frames (a tie is
    normal). Intervals are of videos drawn with replacement.
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
        frames: int = WINDOW_FRAMES,
        stride: int | None = None,
        sigma: float = 0.0,
        store: str | os.PathLike[str] | None = None,
        roc: str | os.PathLike[str] | None = None,
        save_head: str | os.PathLike[str] | None = None,
        batch_size: int = BATCH_SIZE,
        **options: object,
    ) -> None:
        """Set the options; see `score_video` for those that are not named here.

        Args:
            head: a head by name, or a file that one was saved to, which is then not fitted.
            fit_on: where the head learns: `train`, the videos of the dataset's training split; `others`, for each
                video all the others; or the ids of videos, which are scored all the same.
            preset, threshold, clamp, frames, stride, smooth, batch_size: as of `score_video`.
            store: folder of the embedding store; videos that are in it are not decoded again, so that an interrupted
                run resumes, and another head costs little. [default: the binder's store]
            roc: an image of the ROC curves to write, of all videos and of each.
            save_head: a file to save the fitted head to.
            options: of the head.

        Raises:
            UnknownName, BadOption, BadInput: no such head or preset, an option that the head does not take, or
                files that cannot be written.
        """
        self.make_head = lambda: Head.find(head, predicts="anomaly", **options)
        self.head = self.make_head()
        self.fit_on = fit_on if isinstance(fit_on, str) and fit_on in WAYS else _ids(fit_on)
        self.windows = choose_windows(preset, threshold, frames, stride)
        self.preset, self.clamp, self.sigma, self.batch_size = preset, clamp, sigma, batch_size
        check_number("smooth", sigma)
        check_count("batch_size", batch_size)
        if clamp is not None:
            check_number("clamp", clamp)
        self.store = None if store is None else EmbeddingStore(store)
        self.roc, self.save_head = roc, save_head
        for path in (roc, save_head):
            if path is not None:
                files.check_output(path)
        if save_head is not None and self.fit_on == "others":
            raise BadOption("fit_on=others fits a head for each video: there is not one to save")

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed the videos, fit, score and measure; see `Task.run`. The seed is that of the intervals.

        Videos are scored whose frames have labels: those of the split `test`, where the dataset has splits.

        The result's metrics are `auc`, `ap` (frames, all videos together), `macro_auc`, `macro_ap` (means over videos
        with both kinds), and the same of windows as `window_auc`, ...; `undefined` says why `auc` is missing. Its
        samples are videos, compared with no candidates. Its details hold how many `frames` and `windows` there are,
        the share of them that is `abnormal`, `films` (a row each) and `settings`; its curves the `roc` of frames.
        """
        if modality != "event":
            raise BadOption(
                f"videos are embedded as windows of events, not as {modality}; the head 'image' reads their images"
            )
        binding, clamp = apply_preset(binder.binding, self.preset, self.clamp)
        if clamp is not None:
            counts = binder.counts
            binder = load(binding, device=binder.device, store=binder.store)
            binder.counts = counts
        head = self.make_head()  # what another run has fitted is not this one's
        head.prepare(binder)
        scored_items, fitted_items = self._choose(dataset, head)
        records = self._embed(binder, head.needs, [*scored_items, *fitted_items], on_bad)
        scored = list(self._score(binder, head, records, scored_items, fitted_items))
        if not scored:
            raise BadInput(f"{dataset.name} holds no videos that can be scored")
        return self._result(binder, head, dataset, scored, seed, records, clamp)

    def _choose(self, dataset: Dataset, head: Head) -> tuple[list[Item], list[Item]]:
        """The videos that are scored, and those that the head is fitted on (both, where the same ones are)."""
        ids = [item.id for item in dataset.items]
        if len(set(ids)) < len(ids):
            raise BadInput(f"{dataset.name} has two videos of one id, which no result could tell apart")
        test = [item for item in dataset.items if item.notes.get("split", "test") == "test"]
        if not test:
            raise BadInput(f"{dataset.name} has no videos of its test split here: there is nothing to score")
        if head.learns == "nothing" or head.tensors:
            return test, []
        if self.fit_on == "others":
            return test, test
        if self.fit_on == "train":
            train = [item for item in dataset.items if item.notes.get("split") == "train"]
            if not train:
                raise BadInput(
                    f"{dataset.name} has no videos of its training split here, and the head {head.name!r} has to be"
                    " fitted: use fit_on=others, or the ids of videos"
                )
            return test, train
        for id in self.fit_on:
            if id not in ids:
                raise BadOption(f"fit_on names the video {id!r}, which {dataset.name} does not have")
        return test, [item for item in dataset.items if item.id in self.fit_on]

    def _embed(
        self, binder: Binder, needs: Sequence[str], items: Sequence[Item], on_bad: errors.OnBad | None
    ) -> dict[str, VideoEmbeddings]:
        """The windows of the videos by id; those that cannot be used are reported and left out."""
        store = self.store or binder.store

        def record(item: Item) -> VideoEmbeddings:
            with ranks.single_process():  # the others may be at another video
                video = open_video(Path(item.source), **item.options)
                embedded = EmbeddedVideo(video, binder, needs, self.windows, batch_size=self.batch_size, store=store)
                return embedded.embed()

        once = list({item.id: item for item in items}.values())
        counts, before = binder.counts, (binder.counts.computed, binder.counts.cached)
        shared: list[int] | None = None
        if store is not None and ranks.get_world_size() > 1:
            # Each rank embeds its share; then all of them find the rest in the store.
            def share() -> None:
                for item in once[ranks.get_rank() :: ranks.get_world_size()]:
                    with contextlib.suppress(AnybindError):  # reported below
                        record(item)

            ranks.run_collectively(share)
            done = ranks.gather([counts.computed - before[0], counts.cached - before[1]])
            shared = [sum(each) for each in zip(*done, strict=True)]
        records: dict[str, VideoEmbeddings] = {}
        with progress_bar(len(once), "videos") as advance:
            for item in once:
                try:
                    records[item.id] = record(item)
                except AnybindError as error:
                    if on_bad is None:
                        raise
                    on_bad(item.id, error)
                advance(1)
        if shared is not None:
            counts.computed, counts.cached = before[0] + shared[0], before[1] + shared[1]
        return records

    def _score(
        self,
        binder: Binder,
        head: Head,
        records: Mapping[str, VideoEmbeddings],
        scored: Sequence[Item],
        fitted: Sequence[Item],
    ) -> Iterator[ScoredVideo]:
        if fitted and self.fit_on != "others":
            _fit(head, records, fitted)
            if self.save_head is not None:
                head.save(self.save_head)
        for item in scored:
            if item.id not in records:
                continue
            record = records[item.id]
            labels = get_frame_labels(item, len(record.times_us))
            if labels is None:
                raise BadInput(f"the dataset does not say which frames of {item.id} are abnormal")
            if fitted and self.fit_on == "others":
                head = self.make_head()
                head.prepare(binder)
                _fit(head, records, [other for other in fitted if other.id != item.id])
            scores = head.score(record.inputs)
            smoothed = smooth_scores(compute_frame_scores(record.spans, scores, len(labels)), record.times_us, self.sigma)
            yield ScoredVideo(item, (labels, smoothed), (compute_window_labels(labels, record.spans), scores))

    def _result(
        self,
        binder: Binder,
        head: Head,
        dataset: Dataset,
        scored: Sequence[ScoredVideo],
        seed: int,
        records: Mapping[str, VideoEmbeddings],
        clamp: float | None,
    ) -> Result:
        frames = compute_metrics(*zip(*(each.frames for each in scored), strict=True), seed=seed)
        windows = compute_metrics(*zip(*(each.windows for each in scored), strict=True), seed=seed)
        for reason in frames.undefined.values():
            warnings.warn(f"{dataset.name}: {reason}", AnybindWarning, stacklevel=3)
        labels, scores = (np.concatenate([each.frames[place] for each in scored]) for place in (0, 1))
        if self.roc is not None:
            every = {each.item.id: each.frames for each in scored} if len(scored) <= 8 else {}
            draw_roc(Path(self.roc), {"all videos": (labels, scores)} | every, f"{dataset.name}: {head.name}")
        roc = compute_roc_curve(labels, scores)
        embeddings = next(iter(records.values())).inputs.embeddings
        return Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality="event",
            encoders={modality: rows.encoder for modality, rows in embeddings.items()},
            seed=seed,
            n=len(scored),
            gallery_size=0,
            metrics=_merge(frames.metrics, windows.metrics),
            intervals=_merge(frames.intervals, windows.intervals),
            undefined=_merge(frames.undefined, windows.undefined),
            curves={"roc": roc} if roc else {},
            details={
                "abnormal": frames.abnormal_fraction,
                "window_abnormal": windows.abnormal_fraction,
                "frames": len(labels),
                "windows": sum(len(each.windows[0]) for each in scored),
                "films": [_row(each) for each in scored],
                "settings": {
                    "head": {"name": head.name, **head.settings},
                    "fit_on": self.fit_on if head.learns != "nothing" else None,
                    "threshold": self.windows.threshold,
                    "clamp": clamp,
                    "frames": self.windows.frames,
                    "stride": self.windows.stride,
                    "smooth": self.sigma,
                },
            },
        )


def _ids(videos: str | Sequence[str]) -> list[str]:
    """The ids of videos; a name may look like a number."""
    listed = list(videos) if isinstance(videos, Sequence) and not isinstance(videos, str) else [videos]
    return [str(id) for id in listed]


def _fit(head: Head, records: Mapping[str, VideoEmbeddings], items: Sequence[Item]) -> None:
    used = [item for item in items if item.id in records]
    if not used:
        raise BadInput(f"the head {head.name!r} has no videos to learn from")
    inputs = HeadInput.concatenate([records[item.id].inputs for item in used])
    if head.learns == "groups":
        head.fit(inputs, [get_video_label(item) for item in used])
        return
    labels = []
    for item in used:
        spans, of_frames = records[item.id].spans, get_frame_labels(item, len(records[item.id].times_us))
        labels.append(np.full(len(spans), -1) if of_frames is None else compute_training_labels(of_frames, spans))
    head.fit(inputs, np.concatenate(labels))


def _merge(frames: Mapping[str, V], windows: Mapping[str, V]) -> dict[str, V]:
    return {**frames, **{f"window_{name}": value for name, value in windows.items()}}


def _row(scored: ScoredVideo) -> dict[str, object]:
    labels, scores = scored.frames
    counts = {"frames": len(labels), "abnormal": int(labels.sum()), "auc": compute_roc_auc(labels, scores)}
    return {"film": scored.item.id, **counts, "mean_score": float(scores.mean())}
