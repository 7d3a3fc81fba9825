"""All heads of video anomaly detection side by side, with mini, on the first four test clips of UCSD Ped2.

    python benchmarks/vad_ped2.py --data DIR --keep FOLDER [--docs docs]                (make vad-ped2 DATA=DIR)

DIR has `frames/01`, ..., and `labels.json`; FOLDER is an embedding store. Each head that learns is asked thrice:

* `given`: fitted on the normal frames of clips 01, 02 and 04, and scored on all frames, those among them. The head has
  seen what it is asked about, but for clip 03, of which 4 of 150 frames are normal.
* `calibrated`: fitted on the first half of the normal frames of 01, 02 and 04, which are not scored.
* `others`: for each clip, fitted on the normal frames of the three others.

Prints a table in Markdown and writes benchmarks/results/vad_ped2.json; with --docs also two pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import anybind
from anybind.dataset import Item
from anybind.plugin import Head, HeadInput, files
from anybind.registry import create_part
from anybind_vad.embedding import EmbeddedVideo, VideoEmbeddings
from anybind_vad.labels import get_frame_labels, compute_training_labels
from anybind_vad.metrics import draw_roc, compute_metrics, compute_roc_auc
from anybind_vad.presets import WindowSettings
from anybind_vad.segments import compute_frame_scores
from anybind_vad.windows import open_video

HERE = Path(__file__).parent
SETTINGS = ((8, 4), (16, 16), (16, 4))
"""Frames of a window, and from one to the next."""
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
    "image: one-class, nearest": {"head": "image", "of": "one-class"},
    "image: one-class, gaussian": {"head": "image", "of": "one-class", "method": "gaussian"},
    "image: one-class, gaussian, motion": {"head": "image", "of": "one-class", "method": "gaussian", "motion": True},
    "mil, ranking": {"head": "mil"},
    "mil, top-k": {"head": "mil", "loss": "top-k"},
    "image: mil, ranking": {"head": "image", "of": "mil"},
}
SHOWN = (
    "event-rate",
    "zero-shot, general",
    "one-class, gaussian",
    "one-class, gaussian, motion",
    "image: one-class, gaussian",
)


class Clip:
    """A clip with its labels.

    Attributes:
        labels: of frames.
        marks: of windows: 0 without abnormal frames, 1 mostly of them, -1 others.
        calm: frames from the beginning that calibration may look at: half of those before the first abnormal one.
    """

    def __init__(self, item: Item, record: VideoEmbeddings) -> None:
        labels = get_frame_labels(item, len(record.times_us))
        assert labels is not None
        self.id, self.record, self.labels = item.id, record, labels
        self.marks = compute_training_labels(labels, record.spans)
        self.calm = int(np.argmax(labels)) // 2 if item.id in GIVEN else 0
        self.calm_marks = np.where(record.spans[:, :2].sum(axis=1) <= self.calm, 0, -1)

    def scores(self, head: Head) -> np.ndarray:
        """Of frames."""
        record = self.record
        return compute_frame_scores(record.spans, head.score(record.inputs), len(self.labels))

    def part(self, mark: int) -> HeadInput:
        """The windows of one mark, as a film of its own."""
        windows, chosen = self.record.inputs, self.marks == mark
        numbers = np.cumsum(chosen) - 1
        kept = {of: chosen[windows.rows[of]] for of in windows.embeddings}
        return HeadInput(
            {of: rows[kept[of]] for of, rows in windows.embeddings.items()},
            {name: values[chosen] for name, values in windows.measures.items()},
            {of: numbers[windows.rows[of][kept[of]]] for of in windows.embeddings},
        )


def main() -> None:
    """Ask all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    binder, store = anybind.load("mini"), anybind.EmbeddingStore(given.keep)
    dataset = create_part("dataset", "ucsd-ped", given.data)
    rows: list[dict[str, Any]] = []
    clips: list[Clip] = []
    found: dict[str, list[np.ndarray]] = {}
    for size, stride in SETTINGS:
        clips = [Clip(item, embed(item, binder, size, stride, store)) for item in dataset.items]
        for name, options in HEADS.items():
            for protocol, scores, calm in ask(options, binder, clips):
                about = {"window": size, "stride": stride, "head": name, "fitted": protocol}
                rows.append({**about, **figures(clips, scores, calm)})
                if name in SHOWN and protocol in ("", "given"):
                    found[name] = scores
    if given.docs:
        draw(given.docs, clips, found)
    print(table(rows))
    with files.atomic_path(HERE / "results" / "vad_ped2.json") as path:
        path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def embed(item: Item, binder: anybind.Binder, size: int, stride: int, store: anybind.EmbeddingStore) -> VideoEmbeddings:
    """The windows of a clip, embedded once."""
    video = open_video(item.source, **item.options)
    return EmbeddedVideo(video, binder, ("event", "image"), WindowSettings(size, stride), store=store).embed()


def ask(options: Mapping[str, Any], binder: anybind.Binder, clips: Sequence[Clip]) -> list[tuple[str, list, bool]]:
    """How the head was fitted, the scores of each clip's frames, and whether frames for calibration are left out."""

    def make() -> Head:
        settings = dict(options)
        head = Head.find(settings.pop("head"), **settings)
        head.prepare(binder)
        return head

    def fitted(marks: Callable[[Clip], np.ndarray], on: Sequence[Clip]) -> Head:
        inputs = HeadInput.concatenate([clip.record.inputs for clip in on])
        return make().fit(inputs, np.concatenate([marks(clip) for clip in on]))

    learns = make().learns
    if learns == "nothing":
        scores = [clip.scores(make()) for clip in clips]
        return [("", scores, False), ("", scores, True)]
    without = [[other for other in clips if other is not clip] for clip in clips]
    if learns == "groups":
        # Each of the other clips as two films: its normal part, and its abnormal part.
        return [("others", [clip.scores(by_films(make(), on)) for clip, on in zip(clips, without, strict=True)], False)]
    chosen = [clip for clip in clips if clip.id in GIVEN]
    by_given, by_calm = fitted(lambda clip: clip.marks, chosen), fitted(lambda clip: clip.calm_marks, chosen)
    by_others = [fitted(lambda clip: clip.marks, on) for on in without]
    return [
        ("given", [clip.scores(by_given) for clip in clips], False),
        ("calibrated", [clip.scores(by_calm) for clip in clips], True),
        ("others", [clip.scores(head) for clip, head in zip(clips, by_others, strict=True)], False),
    ]


def by_films(head: Head, clips: Sequence[Clip]) -> Head:
    """The head, fitted on the normal and the abnormal parts of clips."""
    films = [(clip.part(mark), mark) for clip in clips for mark in (0, 1)]
    return head.fit(HeadInput.concatenate([film for film, _ in films]), [mark for _, mark in films])


def figures(clips: Sequence[Clip], scores: Sequence[np.ndarray], calm: bool) -> dict[str, Any]:
    """Areas of frames, of all clips together, their means, and of each clip."""
    skips = [clip.calm if calm else 0 for clip in clips]
    labels = [clip.labels[skip:] for clip, skip in zip(clips, skips, strict=True)]
    scores = [each[skip:] for each, skip in zip(scores, skips, strict=True)]
    measured = compute_metrics(labels, scores)
    return {
        "frames": sum(map(len, labels)),
        "calm_left_out": calm,
        **measured.metrics,
        "auc_interval": measured.intervals.get("auc"),
        "clips": {clip.id: compute_roc_auc(*pair) for clip, *pair in zip(clips, labels, scores, strict=True)},
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = []
    for size, stride in SETTINGS:
        ids = list(rows[0]["clips"])
        lines += [
            f"\nWindows of {size} frames, stride {stride}\n",
            "| head | fitted | frames | AUC | AP | macro AUC | " + " | ".join(ids) + " |",
        ]
        lines.append("|---|---|" + "---|" * (4 + len(ids)))
        for row in rows:
            if (row["window"], row["stride"]) == (size, stride):
                cells = [f"{row[name]:.3f}" for name in ("auc", "ap", "macro_auc")]
                cells += [f"{row['clips'][id]:.3f}" for id in ids]
                fitted = row["fitted"] or "not fitted"
                lines.append(f"| {row['head']} | {fitted} | {row['frames']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(folder: Path, clips: Sequence[Clip], found: Mapping[str, list[np.ndarray]]) -> None:
    """Two pictures: ROC curves, and scores over time with what is abnormal in red."""
    labels = np.concatenate([clip.labels for clip in clips])
    curves = {name: (labels, np.concatenate(scores)) for name, scores in found.items()}
    draw_roc(folder / "vad-ped2-roc.png", curves, "UCSD Ped2, clips 01 to 04, fitted on 01, 02, 04")
    figure = Figure(figsize=(10, 1.5 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), len(clips), sharex="col", sharey="row", squeeze=False)
    for row, (name, scores) in enumerate(found.items()):
        for column, (clip, each) in enumerate(zip(clips, scores, strict=True)):
            panel = axes[row][column]
            panel.fill_between(np.arange(len(each)), 0, 1, clip.labels == 1, transform=panel.get_xaxis_transform(),
                               color="tab:red", alpha=0.15, linewidth=0)  # fmt: skip
            panel.plot(each, linewidth=1)
            panel.set_title(f"clip {clip.id}" if row == 0 else "", fontsize=9)
            panel.tick_params(labelsize=7)
        axes[row][0].set_ylabel(name.replace(": ", ":\n").replace(", ", ",\n"), fontsize=7)
    figure.supxlabel("frame (red: abnormal)", fontsize=9)
    with files.atomic_path(folder / "vad-ped2-scores.png") as path:
        figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
