"""Invalid samples that a run leaves out, within the share that its recipe allows."""

from __future__ import annotations

import threading

from anybind import AnybindError, BadInput
from anybind.plugin import errors


class InvalidSamples:
    """Invalid samples of a dataset: files that cannot be read, and samples that are empty once derived or augmented.

    Samples may be invalid in one epoch and not in another: the share is that of an epoch.

    Attributes:
        share: largest fraction of the samples that may be left out in an epoch; 0: the first one raises.
        reasons: the first error of each sample, by id.
    """

    def __init__(self, share: float, total: int, name: str) -> None:
        """Set the share of `total` samples; `name` is that of the recipe's key in errors, such as `training`."""
        self.share, self.reasons = share, dict[str, str]()
        self._total, self._name, self._lock = total, name, threading.Lock()
        self._epoch: set[str] = set()

    def start_epoch(self) -> None:
        """Start to count again."""
        self._epoch.clear()

    def skip(self, id: str, error: AnybindError) -> None:
        """Leave a sample out; called in worker threads.

        Raises:
            AnybindError: the error itself, if it is not the sample's, such as an invalid option, or without a share.
            BadInput: more samples are invalid than the share allows.
        """
        if not self.share or not isinstance(error, BadInput | errors.PluginError):
            raise error
        with self._lock:
            self._epoch.add(id)
            self.reasons.setdefault(id, str(error))
            count = len(self._epoch)
        if count > self.share * self._total:
            raise BadInput(
                f"{count} of {self._total} {self._name} samples are invalid, more than skip_invalid = {self.share:g}"
                f" allows; the last one: {error}"
            ) from error
