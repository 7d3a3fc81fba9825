"""Comparison of all anomaly heads with mini on the first four test clips of UCSD Ped2.

    python benchmarks/vad_ped2.py --data DIR --store FOLDER [--docs docs/images]         (make vad-ped2 DATA=DIR)

DIR has `frames/01`, ..., and `labels.json`; FOLDER is an embedding store. Each trainable head has three protocols:

* `given`: fitted on the normal frames of clips 01, 02 and 04, and scored on all frames, including those. Only clip 03,
  of which 4 of 150 frames are normal, is not in the training data.
* `calibrated`: fitted on the first half of the normal frames of 01, 02 and 04, which are not scored.
* `others`: for each clip, fitted on the normal frames of the three others.

Prints tables and writes vad_ped2.json; with --docs also two plots.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import anybind
from anybind.commandline import print_table
from anybind.dataset import Item
from anybind.plugin import Head, HeadInput, files
from anybind.registry import create_part
from anybind_vad.embedding import EmbeddedVideo, VideoEmbeddings
from anybind_vad.labels import compute_training_labels, get_frame_labels
from anybind_vad.metrics import compute_metrics, compute_roc_auc, draw_roc
from anybind_vad.opening import open_video
from anybind_vad.presets import WindowSettings
from anybind_vad.segments import compute_frame_scores

HERE = Path(__file__).parent
SETTINGS = ((8, 4), (16, 16), (16, 4))
"""Window length and stride in frames."""
GIVEN = ("01", "02", "04")
HEADS: dict[str, dict[str, Any]] = {
    "event-rate": {"head": "event-rate"},
    "zero-shot, general": {"head": "zero-shot"},
    "zero-shot, ucf-crime": {"head": "zero-shot", "prompts": "ucf-crime"},
    "image: zero-shot, general": {"head": "image"},
    "image: zero-shot, ucf-crime": {"head": "image", "prompts": "ucf-crime"},
    "one-class, nearest": {"head": "one-class"},
    "one-class, gaussian": {"head": "one-class", "method": "gaussian"},
    "one-class, gaussian, motion": {"head": "one-class", "method": "gaussian", "motion": True},
    "image: one-class, nearest": {"head": "image", "base": "one-class"},
    "image: one-class, gaussian": {"head": "image", "base": "one-class", "method": "gaussian"},
    "image: one-class, gaussian, motion": {"head": "image", "base": "one-class", "method": "gaussian", "motion": True},
    "mil, ranking": {"head": "mil"},
    "mil, top-k": {"head": "mil", "loss": "top-k"},
    "image: mil, ranking": {"head": "image", "base": "mil"},
    "fused: zero-shot, general": {"head": "fused", "base": "zero-shot"},
    "fused: one-class, nearest": {"head": "fused"},
    "fused: one-class, gaussian": {"head": "fused", "method": "gaussian"},
    "fused: one-class, gaussian, motion": {"head": "fused", "method": "gaussian", "motion": True},
}
PLOTTED = (
    "event-rate",
    "zero-shot, general",
    "one-class, gaussian",
    "one-class, gaussian, motion",
    "image: one-class, gaussian",
)


class Clip:
    """A video clip with its embeddings and labels.

    Attributes:
        labels: frame labels.
        window_labels: 0 without abnormal frames, 1 with a majority of them, -1 otherwise.
        n_calibration: frames for calibration: half of those before the first abnormal one.
        calibration_labels: 0 for windows of those frames, -1 for others.
    """

    def __init__(self, item: Item, embedded: VideoEmbeddings) -> None:
        labels = get_frame_labels(item, len(embedded.times_us))
        assert labels is not None
        self.id, self.embedded, self.labels = item.id, embedded, labels
        self.window_labels = compute_training_labels(labels, embedded.spans)
        self.n_calibration = int(np.argmax(labels)) // 2 if item.id in GIVEN else 0
        self.calibration_labels = np.where(embedded.spans[:, :2].sum(axis=1) <= self.n_calibration, 0, -1)

    def score(self, head: Head) -> np.ndarray:
        """Return frame scores."""
        return compute_frame_scores(self.embedded.spans, head.score(self.embedded.inputs), len(self.labels))

    def select(self, label: int) -> HeadInput:
        """Return the windows of one label, as a separate video."""
        windows = self.embedded.inputs.select(self.window_labels == label)
        return replace(windows, groups=np.zeros(len(windows), np.int64))


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--store", type=Path, required=True, help="folder of the embedding store")
    parser.add_argument("--docs", type=Path, help="folder to write plots to")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="use windows of 16 frames and five heads, and print only")
    options = parser.parse_args()
    binder, store = anybind.load("mini"), anybind.EmbeddingStore(options.store)
    dataset = create_part("dataset", "ucsd-ped", options.data)
    settings = SETTINGS[1:2] if options.quick else SETTINGS
    heads = {name: HEADS[name] for name in PLOTTED} if options.quick else HEADS
    rows: list[dict[str, Any]] = []
    clips: list[Clip] = []
    plotted: dict[str, list[np.ndarray]] = {}
    for size, stride in settings:
        clips = [Clip(item, embed_clip(item, binder, size, stride, store)) for item in dataset.items]
        for name, head_options in heads.items():
            for protocol, scores, is_calibrated in evaluate_head(head_options, binder, clips):
                fields = {"window": size, "stride": stride, "head": name, "fitted": protocol}
                rows.append({**fields, **make_metrics(clips, scores, is_calibrated)})
                if name in PLOTTED and protocol in ("", "given"):
                    plotted[name] = scores
    if options.docs:
        plot_scores(options.docs, clips, plotted)
    print_rows(rows)
    if options.quick:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    with files.atomic_path(options.output / "vad_ped2.json") as path:
        path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def embed_clip(
    item: Item, binder: anybind.Binder, size: int, stride: int, store: anybind.EmbeddingStore
) -> VideoEmbeddings:
    """Embed the windows of a clip, or read them from the store."""
    video = open_video(item.source, **item.options)
    return EmbeddedVideo(video, binder, ("event", "image"), WindowSettings(size, stride), store=store).embed()


def evaluate_head(
    options: Mapping[str, Any], binder: anybind.Binder, clips: Sequence[Clip]
) -> list[tuple[str, list[np.ndarray], bool]]:
    """Return each protocol, the frame scores of each clip, and whether calibration frames are excluded."""

    def make_head() -> Head:
        settings = dict(options)
        head = Head.find(settings.pop("head"), **settings)
        head.prepare(binder)
        return head

    def fit_head(get_labels: Callable[[Clip], np.ndarray], training: Sequence[Clip]) -> Head:
        inputs = HeadInput.concatenate([clip.embedded.inputs for clip in training])
        return make_head().fit(inputs, np.concatenate([get_labels(clip) for clip in training]))

    learns = make_head().learns
    if learns == "nothing":
        scores = [clip.score(make_head()) for clip in clips]
        return [("", scores, False), ("", scores, True)]
    others = [[other for other in clips if other is not clip] for clip in clips]
    if learns == "groups":
        # Each of the other clips as two videos: its normal and its abnormal windows.
        heads = [fit_on_videos(make_head(), training) for training in others]
        return [("others", [clip.score(head) for clip, head in zip(clips, heads, strict=True)], False)]
    training = [clip for clip in clips if clip.id in GIVEN]
    given = fit_head(lambda clip: clip.window_labels, training)
    calibrated = fit_head(lambda clip: clip.calibration_labels, training)
    heads = [fit_head(lambda clip: clip.window_labels, training_clips) for training_clips in others]
    return [
        ("given", [clip.score(given) for clip in clips], False),
        ("calibrated", [clip.score(calibrated) for clip in clips], True),
        ("others", [clip.score(head) for clip, head in zip(clips, heads, strict=True)], False),
    ]


def fit_on_videos(head: Head, clips: Sequence[Clip]) -> Head:
    """Fit a head on the normal and the abnormal windows of clips, each as a video."""
    videos = [(clip.select(label), label) for clip in clips for label in (0, 1)]
    return head.fit(HeadInput.concatenate([video for video, _ in videos]), [label for _, label in videos])


def make_metrics(clips: Sequence[Clip], scores: Sequence[np.ndarray], is_calibrated: bool) -> dict[str, Any]:
    """Compute metrics of frames: of all clips together, their means, and of each clip."""
    skips = [clip.n_calibration if is_calibrated else 0 for clip in clips]
    labels = [clip.labels[skip:] for clip, skip in zip(clips, skips, strict=True)]
    scores = [column[skip:] for column, skip in zip(scores, skips, strict=True)]
    result = compute_metrics(labels, scores)
    return {
        "frames": sum(map(len, labels)),
        "calibration_frames_excluded": is_calibrated,
        **result.metrics,
        "auc_interval": result.intervals.get("auc"),
        "clips": {clip.id: compute_roc_auc(*pair) for clip, *pair in zip(clips, labels, scores, strict=True)},
    }


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table for each window setting."""
    for size, stride in SETTINGS:
        table = [
            (row["head"], row["fitted"] or "not fitted", *(f"{row[name]:.3f}" for name in ("auc", "ap", "macro_auc")))
            for row in rows
            if (row["window"], row["stride"]) == (size, stride)
        ]
        if table:
            print_table(("head", "fitted", "AUC", "AP", "macro"), table, f"windows of {size} frames, stride {stride}")


def plot_scores(folder: Path, clips: Sequence[Clip], scores_by_head: Mapping[str, list[np.ndarray]]) -> None:
    """Plot ROC curves, and frame scores over time with abnormal frames in red."""
    labels = np.concatenate([clip.labels for clip in clips])
    curves = {name: (labels, np.concatenate(scores)) for name, scores in scores_by_head.items()}
    draw_roc(folder / "vad-ped2-roc.png", curves, "UCSD Ped2, clips 01 to 04, fitted on 01, 02, 04")
    figure = Figure(figsize=(10, 1.5 * len(scores_by_head)), layout="constrained")
    axes = figure.subplots(len(scores_by_head), len(clips), sharex="col", sharey="row", squeeze=False)
    for row, (name, scores) in enumerate(scores_by_head.items()):
        for column, (clip, of_clip) in enumerate(zip(clips, scores, strict=True)):
            panel = axes[row][column]
            panel.fill_between(np.arange(len(of_clip)), 0, 1, clip.labels == 1, transform=panel.get_xaxis_transform(),
                               color="tab:red", alpha=0.15, linewidth=0)  # fmt: skip
            panel.plot(of_clip, linewidth=1)
            panel.set_title(f"clip {clip.id}" if row == 0 else "", fontsize=9)
            panel.tick_params(labelsize=7)
        axes[row][0].set_ylabel(name.replace(": ", ":\n").replace(", ", ",\n"), fontsize=7)
    figure.supxlabel("frame (red: abnormal)", fontsize=9)
    with files.atomic_path(folder / "vad-ped2-scores.png") as path:
        figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
