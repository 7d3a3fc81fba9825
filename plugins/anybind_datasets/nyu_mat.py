"""Readers of one picture or depth map of the labelled set of NYU Depth v2, which is one MATLAB file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, modalities, samples

MAGIC = b"MATLAB 7.3 MAT-file"
"""How MATLAB's files of this version begin, in front of the HDF5 that they are."""


class NyuDepthReader(Reader):
    """Number `index` of the depth maps (`depths`, metres)."""

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def read(
        self, path: Path, *, index: int = 0, fx: float | None = None, baseline: float | None = None
    ) -> samples.DepthSample:
        """The depth map; 0 and what is no finite number stand for a depth that is not known.

        Args:
            path: the file.
            index: which one; 0 is the first.
            fx: focal length in pixels.
            baseline: distance of the camera's two eyes in metres.

        Raises:
            BadInput: the file is damaged or holds no such array.
            BadOption: there is no map of this number, or `fx` or `baseline` is not above 0.
        """
        stored = _entry(path, "depths", index)
        if stored.ndim != 2 or stored.dtype.kind != "f":
            raise BadInput(f"{path}: depths must hold metres for each pixel, got {stored.dtype} {stored.shape}")
        metres = np.ascontiguousarray(stored.T, dtype=np.float32)
        metres[~np.isfinite(metres) | (metres == 0)] = np.nan
        return modalities.make_sample("depth", metres, fx=fx, baseline=baseline)


class NyuPictureReader(Reader):
    """Number `index` of the pictures (`images`)."""

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def read(self, path: Path, *, index: int = 0) -> np.ndarray:
        """The picture, uint8 (height, width, 3); raises as the reader of depth maps does."""
        stored = _entry(path, "images", index)
        if stored.ndim != 3 or stored.shape[0] != 3 or stored.dtype != np.uint8:
            raise BadInput(f"{path}: images must hold three bytes for each pixel, got {stored.dtype} {stored.shape}")
        return np.ascontiguousarray(stored.transpose(2, 1, 0))


def scene_types(path: Path) -> list[str]:
    """The kind of scene of each picture, as published; raises `BadInput` where the file does not say it."""
    try:
        with h5py.File(path, "r") as file:
            cells = _array(file, "sceneTypes")[()].ravel()
            return ["".join(map(chr, _array(file, cell)[()].ravel())) for cell in cells]
    except KeyError:
        raise BadInput(f"{path} holds no sceneTypes; is it nyu_depth_v2_labeled.mat?") from None
    except Exception as error:  # HDF5's library raises what it likes on damaged files
        raise BadInput(f"{path} is no complete MATLAB file: {' '.join(str(error).split())}; copy it again") from error


def _array(file: h5py.File, name: str | h5py.Reference) -> h5py.Dataset:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise TypeError(f"{name} is no array")
    return found


def _entry(path: Path, name: str, index: int) -> np.ndarray:
    """One entry of an array, read by itself: the whole file is larger than many memories."""
    try:
        with h5py.File(path, "r") as file:
            if name not in file:
                raise BadInput(f"{path} holds no array {name!r}; is it nyu_depth_v2_labeled.mat?")
            held = _array(file, name)
            if not 0 <= index < len(held):
                raise BadOption(f"{path} holds {len(held)} {name}, from 0 on; there is no number {index}")
            return held[index]
    except (BadInput, BadOption):
        raise
    except Exception as error:  # HDF5's library raises what it likes on damaged files
        raise BadInput(f"{path} is no complete MATLAB file: {' '.join(str(error).split())}; copy it again") from error
