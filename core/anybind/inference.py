"""`InferenceOptions`: how a binder runs its encoders: batch size, workers, precision and devices."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from anybind.errors import BadOption
from anybind.number_checks import check_count

FP32 = "fp32"
PRECISIONS = FP32, "bf16", "fp16"
DEFAULT_BATCH_SIZE = 32
DEFAULT_WORKERS = 4
"""Largest default number of decoding threads."""


@dataclass(frozen=True)
class InferenceOptions:
    """How a binder decodes files and runs its encoders.

    Attributes:
        precision: `fp32`, `bf16` or `fp16` for encoders on torch, by autocast. Lower precision changes embeddings, so
            it is a part of the encoder's identity.
        batch_size: number of samples encoded at once, at least 1.
        workers: number of files decoded at a time, at least 1; None for one a processor, at most 4.
        processes: decode in processes instead of threads. Each loads the encoder, for its preprocessing, so that they
            can pay for thousands of images on many cores; a script then needs `if __name__ == "__main__":`.

    Raises:
        BadOption: a value of another kind or range.
    """

    precision: str = FP32
    batch_size: int = DEFAULT_BATCH_SIZE
    workers: int | None = None
    processes: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BadOption(f"expected a precision of {', '.join(PRECISIONS)}, got {self.precision!r}")
        check_count("the batch size", self.batch_size)
        if self.workers is not None:
            check_count("the number of workers", self.workers)

    @property
    def n_workers(self) -> int:
        """Number of workers, by default as many as there are processors, at most 4."""
        return self.workers or min(DEFAULT_WORKERS, os.cpu_count() or 1)

    def override(self, batch_size: int | None = None, workers: int | None = None) -> InferenceOptions:
        """Return the options with those values that are given."""
        given = {"batch_size": batch_size, "workers": workers}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


DEFAULT_OPTIONS = InferenceOptions()


def parse_devices(text: str) -> tuple[str, ...]:
    """Parse a device, or several of one type separated by commas: `cuda:0,cuda:1`.

    Raises:
        BadOption: an empty name, or devices of several types, whose embeddings differ by rounding.
    """
    devices = tuple(name.strip() for name in text.split(","))
    if not all(devices):
        raise BadOption(f"expected a device, such as cpu or cuda:0,cuda:1, got {text!r}")
    if len({name.partition(":")[0] for name in devices}) > 1:
        raise BadOption(f"expected devices of one type, such as cuda:0,cuda:1, got {text!r}")
    return devices
