"""The task `vad`: evaluation of an anomaly head on videos with labelled frames."""

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
from anybind.plugin import BadInput, BadOption, Dataset, Head, HeadInput, Item, Task, errors, files, loops, ranks
from anybind_vad.embedding import BATCH_SIZE, EmbeddedVideo, VideoEmbeddings, get_window_vectors
from anybind_vad.labels import compute_training_labels, compute_window_labels, get_frame_labels, get_video_label
from anybind_vad.metrics import compute_metrics, compute_roc_auc, compute_roc_curve, draw_roc
from anybind_vad.opening import open_video
from anybind_vad.presets import (
    MERGE,
    PAPER,
    WINDOW_FRAMES,
    apply_preset,
    check_count,
    check_number,
    check_smoothing,
    choose_windows,
)
from anybind_vad.segments import SIMILARITY, TIME, count_scored_frames, smooth_frame_scores

FIT_MODES = ("train", "others")
Value = TypeVar("Value")


@dataclass(frozen=True)
class ScoredVideo:
    """A video with labels and scores of frames, and of windows."""

    item: Item
    frames: tuple[np.ndarray, np.ndarray]
    windows: tuple[np.ndarray, np.ndarray]


class VideoAnomaly(Task):
    """ROC AUC and average precision of frames and windows, over videos with labelled frames.

    A frame score is the mean over the windows that contain the frame; a window's label is the majority of its frames
    (a tie is normal). Confidence intervals are over bootstrap resamples of the videos.
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
        last: str = MERGE,
        sigma: float = 0.0,
        smoothing: str = TIME,
        store: str | os.PathLike[str] | None = None,
        roc: str | os.PathLike[str] | None = None,
        save_head: str | os.PathLike[str] | None = None,
        batch_size: int = BATCH_SIZE,
        **options: object,
    ) -> None:
        """Set the options.

        Args:
            head: anomaly head by name, or the file of a fitted head.
            fit_on: videos to fit the head on: `train`, the training split of the dataset; `others`, for each video all
                other videos; or the ids of videos, which are scored too.
            preset, threshold, clamp, frames, stride, last, sigma, smoothing, batch_size: see `score_video`.
            store: folder of the embedding store; stored videos are not decoded again, so that an interrupted run
                resumes. [default: the binder's store]
            roc: image file to write the ROC curves to, of all videos and of each.
            save_head: file to save the fitted head to.
            options: options of the head.

        Raises:
            UnknownName, BadOption, BadInput: no such head or preset, an invalid option of the head, or a file that is
                not writable.
        """
        self.make_head = lambda: Head.find(head, predicts="anomaly", **options)
        self.head = self.make_head()
        self.fit_on = fit_on if isinstance(fit_on, str) and fit_on in FIT_MODES else _list_ids(fit_on)
        self.windows = choose_windows(preset, threshold, frames, stride, last)
        self.preset, self.clamp, self.sigma, self.smoothing = preset, clamp, sigma, smoothing
        self.batch_size = batch_size
        check_number("sigma", sigma)
        check_smoothing(smoothing, sigma, self.head.needs)
        check_count("batch_size", batch_size)
        if clamp is not None:
            check_number("clamp", clamp)
        self.store = None if store is None else EmbeddingStore(store)
        self.roc, self.save_head = roc, save_head
        for path in (roc, save_head):
            if path is not None:
                files.check_output(path)
        if save_head is not None and self.fit_on == "others":
            raise BadOption("save_head: expected one fitted head, but fit_on=others fits one for each video")

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Embed the videos, fit the head, score and evaluate; see `Task.run`. The seed is that of the bootstrap.

        Videos of the test split are scored, or all videos of a dataset without splits.

        Metrics are `auc`, `ap` (average precision, by steps) and `pr_auc` (area under the precision-recall curve, by
        trapezoids) of the frames of all videos together, `macro_auc`, ... (means over the videos with both labels), and
        those of windows as `window_auc`, ...; `undefined` has the reason for a missing `auc`.
        Samples are videos, without a gallery. Details are the numbers of `frames` and `windows`, the
        `abnormal_fraction` of each, `videos` (a row each) and `settings`; curves are the `roc` of frames.
        """
        if modality != "event":
            raise BadOption(
                f"expected the modality event for videos, got {modality!r}; the head 'image' uses their frames"
            )
        binding, clamp = apply_preset(binder.binding, self.preset, self.clamp)
        if clamp is not None:
            counts = binder.counts
            binder = load(binding, device=binder.device, backend=binder.backend, store=binder.store)
            binder.counts = counts
        head = self.make_head()  # not one that an earlier run fitted
        head.prepare(binder)
        test_items, fit_items = self._select_videos(dataset, head)
        embedded = self._embed_videos(binder, head.needs, [*test_items, *fit_items], on_bad)
        scored = list(self._score_videos(binder, head, embedded, test_items, fit_items))
        if not scored:
            raise BadInput(f"{dataset.name} has no valid videos to score")
        return self._make_result(binder, head, dataset, scored, seed, embedded, clamp)

    def _select_videos(self, dataset: Dataset, head: Head) -> tuple[list[Item], list[Item]]:
        """Return the videos to score, and those to fit the head on."""
        ids = [item.id for item in dataset.items]
        if len(set(ids)) < len(ids):
            raise BadInput(f"{dataset.name}: expected unique video ids, got two videos of one id")
        test = [item for item in dataset.items if item.notes.get("split", "test") == "test"]
        if not test:
            raise BadInput(f"{dataset.name} has no videos of its test split to score")
        if head.learns == "nothing" or head.tensors:
            return test, []
        if self.fit_on == "others":
            return test, test
        if self.fit_on == "train":
            train = [item for item in dataset.items if item.notes.get("split") == "train"]
            if not train:
                raise BadInput(
                    f"{dataset.name} has no videos of its training split to fit the head {head.name!r} on; use"
                    " fit_on=others, or the ids of videos"
                )
            return test, train
        for id in self.fit_on:
            if id not in ids:
                raise BadOption(f"fit_on: {dataset.name} has no video {id!r}")
        return test, [item for item in dataset.items if item.id in self.fit_on]

    def _embed_videos(
        self, binder: Binder, needs: Sequence[str], items: Sequence[Item], on_bad: errors.OnBad | None
    ) -> dict[str, VideoEmbeddings]:
        """Embed the videos, by id; invalid ones are reported and skipped."""
        store = self.store or binder.store

        def embed_video(item: Item) -> VideoEmbeddings:
            rates = {"fps": item.notes["fps"]} if "fps" in item.notes else {}
            with ranks.single_process():  # other ranks may process another video
                video = open_video(Path(item.source), **rates, **item.options)
                windows = EmbeddedVideo(video, binder, needs, self.windows, batch_size=self.batch_size, store=store)
                return windows.embed()

        unique = list({item.id: item for item in items}.values())
        counts, before = binder.counts, (binder.counts.computed, binder.counts.cached)
        totals: list[int] | None = None
        if store is not None and ranks.get_world_size() > 1:
            # Each rank embeds its part of the videos; then all of them read the rest from the store.
            def embed_part() -> None:
                for item in unique[ranks.get_rank() :: ranks.get_world_size()]:
                    with contextlib.suppress(AnybindError):  # reported below
                        embed_video(item)

            ranks.run_collectively(embed_part)
            by_rank = ranks.gather([counts.computed - before[0], counts.cached - before[1]])
            totals = [sum(column) for column in zip(*by_rank, strict=True)]
        embedded: dict[str, VideoEmbeddings] = {}
        with loops.progress_bar(len(unique), "videos") as advance:
            for item in unique:
                try:
                    embedded[item.id] = embed_video(item)
                except AnybindError as error:
                    if on_bad is None:
                        raise
                    on_bad(item.id, error)
                advance(1)
        if totals is not None:
            counts.computed, counts.cached = before[0] + totals[0], before[1] + totals[1]
        return embedded

    def _score_videos(
        self,
        binder: Binder,
        head: Head,
        embedded: Mapping[str, VideoEmbeddings],
        test_items: Sequence[Item],
        fit_items: Sequence[Item],
    ) -> Iterator[ScoredVideo]:
        if fit_items and self.fit_on != "others":
            _fit_head(head, embedded, fit_items)
            if self.save_head is not None:
                head.save(self.save_head)
        for item in test_items:
            if item.id not in embedded:
                continue
            video = embedded[item.id]
            labels = get_frame_labels(item, len(video.times_us))
            if labels is None:
                raise BadInput(f"{item.id}: the dataset has no frame labels for this video")
            if fit_items and self.fit_on == "others":
                head = self.make_head()
                head.prepare(binder)
                _fit_head(head, embedded, [other for other in fit_items if other.id != item.id])
            n_scored = count_scored_frames(video.spans)
            labels, scores = labels[:n_scored], head.score(video.inputs)
            vectors = get_window_vectors(video.inputs, head.needs[0]) if self.smoothing == SIMILARITY else None
            smoothed = smooth_frame_scores(video.spans, scores, video.times_us[:n_scored], self.sigma, vectors)
            yield ScoredVideo(item, (labels, smoothed), (compute_window_labels(labels, video.spans), scores))

    def _make_result(
        self,
        binder: Binder,
        head: Head,
        dataset: Dataset,
        scored: Sequence[ScoredVideo],
        seed: int,
        embedded: Mapping[str, VideoEmbeddings],
        clamp: float | None,
    ) -> Result:
        frames = compute_metrics(*zip(*(video.frames for video in scored), strict=True), seed=seed)
        windows = compute_metrics(*zip(*(video.windows for video in scored), strict=True), seed=seed)
        for reason in frames.undefined.values():
            warnings.warn(f"{dataset.name}: {reason}", AnybindWarning, stacklevel=3)
        labels, scores = (np.concatenate(column) for column in zip(*(video.frames for video in scored), strict=True))
        if self.roc is not None:
            by_video = {video.item.id: video.frames for video in scored} if len(scored) <= 8 else {}
            draw_roc(Path(self.roc), {"all videos": (labels, scores)} | by_video, f"{dataset.name}: {head.name}")
        roc = compute_roc_curve(labels, scores)
        embeddings = next(iter(embedded.values())).inputs.embeddings
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
            metrics=_merge_values(frames.metrics, windows.metrics),
            intervals=_merge_values(frames.intervals, windows.intervals),
            undefined=_merge_values(frames.undefined, windows.undefined),
            curves={"roc": roc} if roc else {},
            details={
                "abnormal_fraction": frames.abnormal_fraction,
                "window_abnormal_fraction": windows.abnormal_fraction,
                "frames": len(labels),
                "windows": sum(len(video.windows[0]) for video in scored),
                "videos": [_make_row(video) for video in scored],
                "settings": {
                    "head": {"name": head.name, **head.settings},
                    "fit_on": self.fit_on if head.learns != "nothing" else None,
                    "threshold": self.windows.threshold,
                    "clamp": clamp,
                    "frames": self.windows.frames,
                    "stride": self.windows.stride,
                    "difference": self.windows.difference,
                    "last": self.windows.last,
                    "sigma": self.sigma,
                    "smoothing": self.smoothing,
                },
            },
        )


def _list_ids(videos: str | Sequence[str]) -> list[str]:
    """Return the ids of videos as texts; a command line gives ids such as 01 as numbers."""
    ids = list(videos) if isinstance(videos, Sequence) and not isinstance(videos, str) else [videos]
    return [str(id) for id in ids]


def _fit_head(head: Head, embedded: Mapping[str, VideoEmbeddings], items: Sequence[Item]) -> None:
    used = [item for item in items if item.id in embedded]
    if not used:
        raise BadInput(f"the head {head.name!r} has no valid videos to be fitted on")
    inputs = HeadInput.concatenate([embedded[item.id].inputs for item in used])
    if head.learns == "groups":
        head.fit(inputs, [get_video_label(item) for item in used])
        return
    labels = []
    for item in used:
        video = embedded[item.id]
        of_frames = get_frame_labels(item, len(video.times_us))
        if of_frames is None:
            labels.append(np.full(len(video.spans), -1))
        else:
            labels.append(compute_training_labels(of_frames, video.spans))
    head.fit(inputs, np.concatenate(labels))


def _merge_values(frames: Mapping[str, Value], windows: Mapping[str, Value]) -> dict[str, Value]:
    return {**frames, **{f"window_{name}": value for name, value in windows.items()}}


def _make_row(video: ScoredVideo) -> dict[str, object]:
    labels, scores = video.frames
    counts = {"frames": len(labels), "abnormal_frames": int(labels.sum()), "auc": compute_roc_auc(labels, scores)}
    return {"video": video.item.id, **counts, "mean_score": float(scores.mean())}
