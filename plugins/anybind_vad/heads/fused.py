"""The head `fused`: uncertainty-weighted fusion of a base head on event and on image embeddings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

import numpy as np

from anybind import Binder, Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput
from anybind_vad.heads.calibration import Calibration, fit_calibrations
from anybind_vad.presets import check_number

MODALITIES = ("event", "image")
FOLDS = 10
"""Largest number of cross-validation folds of the calibration; many, so that each is fitted on almost all windows."""


class FusedHead(Head):
    """A base head on each modality, fused by inverse variances; scores are 0 or more, 1 halfway to abnormal.

    After IEF-VAD (Jeong, Park and Imani, Uncertainty-weighted image-event multimodal fusion for video anomaly
    detection, arXiv 2505.02393): each modality m observes one latent state with Student-t noise, whose Laplace
    approximation has the variance v_m = dof / (dof + 1) * scale_m^2, and the fused state is the mean weighted by 1 /
    v_m. There a network computes state and scale of each value, and refines the fused state.

    Ours: the latent state z is 0 (normal) or 1 (abnormal), and a base head's score is an affine function of it plus
    noise. Its coefficients and the scale are fitted to the scores of windows that the base head was not fitted on
    (cross-validation). The score is (x + sqrt(x^2 + 4)) / 2 with x = z - 1/2, which keeps the order of all z. A
    modality whose abnormal windows score no higher than its normal ones has the weight 0, as has one that a window
    lacks, such as events of a still window. Without abnormal windows in the fit, nothing shows which modality is
    informative, and standardised scores have equal weights. There is no refinement; smooth scores over time instead.

    The names of the options are part of the file format of saved heads.
    """

    name = "fused"
    predicts = "anomaly"
    learns = "samples"

    def __init__(self, base: str, modalities: Sequence[str], dof: float, options: dict[str, object]) -> None:
        """Make a base head for each modality; see `make_fused_head`."""
        self.dof = dof
        self.heads = {
            modality: Head.find(base, predicts="anomaly", modality=modality, **options) for modality in modalities
        }
        settings = {"base": base, "modalities": list(modalities), "dof": dof, **options}
        super().__init__(needs=tuple(modalities), settings=settings)

    def prepare(self, binder: Binder) -> None:
        """Prepare the base heads."""
        for head in self.heads.values():
            head.prepare(binder)
            self.made_for.update(head.made_for)

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Fit the base heads and the calibration of their scores; labels as of the base head."""
        by_modality: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for modality, head in self.heads.items():
            scores = self._score_held_out(head, modality, inputs, labels)
            head.fit(inputs, labels)
            self.made_for.update(head.made_for)
            valid = np.isfinite(scores) & (labels[: len(scores)] >= 0)
            by_modality[modality] = scores[valid], labels[: len(scores)][valid]
        calibrations = fit_calibrations(by_modality, self.dof)
        tensors = {f"{modality}.calibration": np.array(calibrations[modality]) for modality in self.heads}
        for modality, head in self.heads.items():
            tensors |= {f"{modality}.{name}": tensor for name, tensor in head.tensors.items()}
        return tensors

    def _score_held_out(self, head: Head, modality: str, inputs: HeadInput, labels: np.ndarray) -> np.ndarray:
        """Return scores of samples (or groups) by base heads fitted on the others; NaN without embeddings."""
        scores = np.full(len(inputs), np.nan)
        present = _find_present(inputs, modality)
        if head.learns == "nothing":
            scores[present] = head.score(inputs)[present]
            return scores
        for held_out in _split_folds(inputs, labels, present, head.learns == "groups"):
            fold_labels = labels
            if head.learns == "groups":
                fold_labels = labels.copy()
                fold_labels[np.unique(inputs.groups[held_out])] = -1
            training = inputs.select(~held_out)
            head.fit(training, fold_labels if head.learns == "groups" else labels[~held_out])
            scores[held_out] = head.score(inputs.select(held_out))
        scores[~present] = np.nan
        return self._reduce(scores, inputs)

    def _reduce(self, scores: np.ndarray, inputs: HeadInput) -> np.ndarray:
        """Reduce window scores to the unit of the labels: the windows."""
        return scores

    def load(self, path: str | os.PathLike[str]) -> Self:
        super().load(path)
        for modality, head in self.heads.items():
            prefix = f"{modality}."
            head.made_for = {name: record for name, record in self.made_for.items() if name not in self.needs}
            head.made_for[modality] = self.made_for[modality]
            head.tensors = {
                name.removeprefix(prefix): tensor
                for name, tensor in self.tensors.items()
                if name.startswith(prefix) and name != f"{prefix}calibration"
            }
        return self

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        shapes: dict[str, tuple[int | None, ...]] = {}
        for modality, head in self.heads.items():
            head.made_for = dict(self.made_for)
            shapes |= {f"{modality}.{name}": shape for name, shape in head.list_shapes().items()}
            shapes[f"{modality}.calibration"] = (3,)
        return shapes

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        states, precisions = np.zeros(len(inputs)), np.zeros(len(inputs))
        for modality, head in self.heads.items():
            present = _find_present(inputs, modality)
            calibration = Calibration(*self.tensors[f"{modality}.calibration"].tolist())
            precisions[present] += calibration.precision
            states[present] += calibration.precision * calibration.estimate_states(head.score(inputs)[present])
        weighted = precisions > 0
        offsets = np.divide(states, precisions, out=np.zeros(len(inputs)), where=weighted) - 0.5
        roots = np.sqrt(offsets**2 + 4)
        return np.where(weighted, np.where(offsets > 0, (offsets + roots) / 2, 2 / (roots - offsets)), 0)


class FusedGroupsHead(FusedHead):
    """The head `fused` with a base head that learns from labels of videos; a video's score is its largest."""

    learns = "groups"

    def _reduce(self, scores: np.ndarray, inputs: HeadInput) -> np.ndarray:
        largest = np.full(int(inputs.groups.max(initial=-1)) + 1, -np.inf)
        finite = np.isfinite(scores)
        np.maximum.at(largest, inputs.groups[finite], scores[finite])
        return largest


def make_fused_head(
    *, base: str = "one-class", modalities: Sequence[str] = MODALITIES, dof: float = 4.0, **options: object
) -> Head:
    """Return the fusion of the head `base` on several modalities of windows.

    Args:
        base: a head on embeddings of one modality, with the option `modality`: one-class, mil or zero-shot.
        modalities: two modalities or more.
        dof: degrees of freedom of the Student-t noise, above 0; larger is closer to Gaussian noise.
        options: options of the base head, alike for all modalities.

    Raises:
        UnknownName, BadOption: no such head, one without the option `modality`, or an option that it does not take.
    """
    modalities = [modalities] if isinstance(modalities, str) else list(modalities)
    if base in ("fused", "image") or "modality" in options:
        raise BadOption("the head 'fused': expected another head as base, e.g. one-class, and no modality")
    if len(modalities) < 2 or len(set(modalities)) < len(modalities):
        raise BadOption(f"modalities: expected two different ones or more, got {', '.join(map(str, modalities))}")
    check_number("dof", dof)
    if not dof:
        raise BadOption("dof: expected a number above 0, got 0")
    learns = Head.find(base, predicts="anomaly", modality=modalities[0], **options).learns
    return (FusedGroupsHead if learns == "groups" else FusedHead)(base, modalities, dof, options)


def _find_present(inputs: HeadInput, modality: str) -> np.ndarray:
    """Return which samples have rows of a modality, (n,) bool."""
    present = np.zeros(len(inputs), bool)
    present[inputs.rows[modality]] = True
    return present


def _split_folds(inputs: HeadInput, labels: np.ndarray, present: np.ndarray, by_group: bool) -> list[np.ndarray]:
    """Split samples into folds, (n,) bool each: runs with equal numbers of normal windows, or whole videos by label."""
    if by_group:
        folds_of_groups = np.full(len(labels), -1)
        count = min(FOLDS, *(int((labels == label).sum()) for label in (0, 1)))
        if count < 2:
            raise BadInput(f"the head 'fused': expected two normal and two abnormal videos or more, got {count}")
        for label in (0, 1):
            groups = np.flatnonzero(labels == label)
            folds_of_groups[groups] = np.arange(len(groups)) % count
        folds = folds_of_groups[inputs.groups]
    else:
        normal = (labels == 0) & present
        n_normal = int(normal.sum())
        if n_normal < 3:
            raise BadInput(f"the head 'fused': expected three normal windows or more, got {n_normal}")
        count = min(FOLDS, n_normal)
        folds = np.minimum(np.cumsum(normal) * count // (n_normal + 1), count - 1)
    return [folds == fold for fold in range(count)]
