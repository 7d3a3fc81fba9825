"""The logs of a run: `metrics.jsonl`, TensorBoard's file, and the plot of the curves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from anybind.plugin import BadInput, files

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from anybind_train.run_files import BaseRecord


class TrainedEncoder(TypedDict):
    """The encoder of a run, by which `anybind pack` finds its parts.

    Attributes:
        encoder: its registered name; empty if class prompts were learned.
        options: its options but for `weights`.
        metric: the probe's metric that selects the best epoch; empty without a probe.
    """

    encoder: str
    options: dict[str, object]
    metric: str


class RunRecord(TypedDict):
    """The summary of a run, as in `result.json`.

    Attributes:
        trained: what was trained, see `TrainedEncoder`.
        base: the base that the student was trained for.
        settings: the recipe's keys.
        probes: epoch and metrics of each probe.
        skipped: the error of each invalid sample that was left out, by id.
        versions: versions of Python, of the plugins' distributions and of the packages that they require.
    """

    recipe: str
    recipe_hash: str
    trained: TrainedEncoder
    data_hash: str
    samples: int
    classes: int
    epochs: int
    steps: int
    weights: str
    encoder: str
    base: BaseRecord
    settings: dict[str, object]
    probes: list[dict[str, float]]
    skipped: dict[str, str]
    versions: dict[str, str]


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read all complete lines of a run's `metrics.jsonl`; none if it is missing."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class MetricsLog:
    """A log with one JSON line a step, probe or sample that is left out.

    On resuming, lines after the saved state are removed first.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        lines = [line for line in read_log(folder) if line["step"] < step] if step else []
        with files.atomic_path(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.file = self.path.open("a", buffering=1)
        self.tensorboard = _open_tensorboard(folder, step)

    def write(self, kind: str, step: int, **values: float | str) -> None:
        """Write a line; `kind` is `step`, `probe` or `skipped`. Raises `BadInput` if the disk is full."""
        try:
            self.file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        except OSError as error:
            raise BadInput(f"{self.path}: cannot write ({error.strerror})") from error
        if self.tensorboard is not None:
            for name, value in values.items():
                if not isinstance(value, str):
                    self.tensorboard.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the log and TensorBoard's file."""
        with contextlib.suppress(OSError):  # a full disk, which `write` has reported
            self.file.close()
        if self.tensorboard is not None:
            self.tensorboard.close()


def _open_tensorboard(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # optional: metrics.jsonl has everything
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)


def draw_curves(lines: Sequence[Mapping[str, object]], path: Path, title: str, metric: str) -> None:
    """Plot the losses by step and the probe by epoch, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    steps = [line for line in lines if line["kind"] == "step"]
    probes = [line for line in lines if line["kind"] == "probe"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    skipped = ("kind", "step", "epoch", "lr", "seconds")
    for name in (name for name in (steps[0] if steps else {}) if name not in skipped and "." not in name):
        values = np.array([line[name] for line in steps])
        window = np.ones(max(1, len(values) // 20))
        mean = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
        width = 2.2 if name == "loss" else 1.2
        left.plot([line["step"] for line in steps], mean, label=name, linewidth=width)
    left.set(xlabel="step", ylabel="loss (terms unweighted)", title="training loss (mean over 5 % of the steps)")
    left.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)
    right.plot([line["epoch"] for line in probes], [line[metric] for line in probes], marker="o")
    right.set(xlabel="epoch (0: untrained)", ylabel=metric, title="probe (held-out samples)", ylim=(0, 1))
    right.xaxis.get_major_locator().set_params(integer=True)
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    pyplot.close(figure)
