"""Readers of single images and depth maps from NYU Depth v2's labelled set, one MATLAB file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, modalities, samples

if TYPE_CHECKING:
    import h5py

MAGIC = b"MATLAB 7.3 MAT-file"
"""First bytes of MATLAB 7.3 files, before the HDF5 content."""


class NyuDepthReader(Reader):
    """A reader of depth maps (`depths`, metres) by index."""

    def sniff(self, head: bytes) -> bool | None:
        """Return None for any file of MATLAB 7.3, since its arrays follow later."""
        return None if head.startswith(MAGIC) else False

    def read(
        self, path: Path, *, index: int = 0, fx: float | None = None, baseline: float | None = None
    ) -> samples.DepthSample:
        """Read a depth map; 0 and non-finite values are unknown depths.

        Args:
            path: MATLAB file.
            index: index of the depth map, from 0.
            fx: focal length in pixels.
            baseline: stereo baseline of the camera in metres.

        Raises:
            BadInput: the file is damaged or has no such array.
            BadOption: `index` is out of range, or `fx` or `baseline` is not positive.
        """
        stored = _read_entry(path, "depths", index)
        if stored.ndim != 2 or stored.dtype.kind != "f":
            raise BadInput(f"{path}: depths: expected one float per pixel, got {stored.dtype} {stored.shape}")
        metres = np.ascontiguousarray(stored.T, dtype=np.float32)
        metres[~np.isfinite(metres) | (metres == 0)] = np.nan
        return modalities.make_sample("depth", metres, fx=fx, baseline=baseline)


class NyuImageReader(Reader):
    """A reader of images (`images`) by index."""

    def sniff(self, head: bytes) -> bool | None:
        """Return None for any file of MATLAB 7.3, since its arrays follow later."""
        return None if head.startswith(MAGIC) else False

    def read(self, path: Path, *, index: int = 0) -> np.ndarray:
        """Read an image, uint8 (height, width, 3); errors as in `NyuDepthReader.read`."""
        stored = _read_entry(path, "images", index)
        if stored.ndim != 3 or stored.shape[0] != 3 or stored.dtype != np.uint8:
            raise BadInput(f"{path}: images: expected three bytes per pixel, got {stored.dtype} {stored.shape}")
        return np.ascontiguousarray(stored.transpose(2, 1, 0))


def read_scene_types(path: Path) -> list[str]:
    """Read the published scene type of each image; raise `BadInput` if the file has none."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            cells = _get_array(file, "sceneTypes")[()].ravel()
            return ["".join(map(chr, _get_array(file, cell)[()].ravel())) for cell in cells]
    except KeyError:
        raise BadInput(f"{path}: no array sceneTypes; expected nyu_depth_v2_labeled.mat") from None
    except Exception as error:  # HDF5 raises various types for damaged files
        raise BadInput(f"{path}: incomplete MATLAB file: {' '.join(str(error).split())}; copy it again") from error


def _get_array(file: h5py.File, name: str | h5py.Reference) -> h5py.Dataset:
    import h5py

    node = file[name]
    if not isinstance(node, h5py.Dataset):
        raise TypeError(f"{name} is not an array")
    return node


def _read_entry(path: Path, name: str, index: int) -> np.ndarray:
    """Read one entry of an array; the whole file may exceed the memory."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if name not in file:
                raise BadInput(f"{path}: no array {name!r}; expected nyu_depth_v2_labeled.mat")
            array = _get_array(file, name)
            if not 0 <= index < len(array):
                raise BadOption(f"{path}: expected an index from 0 to {len(array) - 1} of {name}, got {index}")
            return array[index]
    except (BadInput, BadOption):
        raise
    except Exception as error:  # HDF5 raises various types for damaged files
        raise BadInput(f"{path}: incomplete MATLAB file: {' '.join(str(error).split())}; copy it again") from error
