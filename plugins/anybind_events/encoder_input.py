"""`EventInput`: recordings to the input of an image encoder, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from anybind.plugin import BadOption, Encoder, Representation, RepresentationSpec, create_part, export, find_part
from anybind_events.stream import EventStream


class EventInput(export.EncoderInput):
    """The preprocessing of event encoders: a recording becomes a frame, and the frame the input of an image encoder.

    Attributes:
        image: the image encoder, whose preprocessing is used.
        frame: the representation.
    """

    def __init__(
        self,
        image: Encoder | export.EncoderInput,
        representation: str,
        options: Mapping[str, object] | None,
        size: int,
        direct: bool,
        windows: int = 1,
    ) -> None:
        """Create the representation; see `EventEncoder` for the arguments.

        Raises:
            BadOption: the options are not a table, the size is negative, or there is no window.
        """
        if options is not None and not isinstance(options, Mapping):
            raise BadOption(f"options: expected a table of representation options, got {options!r}")
        if not isinstance(size, int) or size < 0:
            raise BadOption(f"size: expected 0 or more, got {size!r}")
        if not isinstance(windows, int) or windows < 1:
            raise BadOption(f"windows: expected 1 or more, got {windows!r}")
        self.image, self.size, self.direct, self.windows = image, size, direct, windows
        self.frame: Representation = create_part("representation", representation, **(options or {}))
        self.representation, self.representation_options = representation, options or {}

    @property
    def settings(self) -> dict[str, object]:
        """Everything that shapes the input, for identities."""
        if not isinstance(self.image, Encoder):
            raise BadOption("the settings of an event encoder's input need its image encoder")
        return {
            "frame": dict(self.frame.settings),
            "picture": dict(self.image.preprocessing),  # hashed into identities: the key stays
            **({"size": self.size} if self.size else {}),
            **({"direct": True} if self.direct else {}),
            **({"windows": self.windows} if self.windows > 1 else {}),
        }

    @property
    def options(self) -> dict[str, object]:
        """The options of the constructor but for the image encoder, JSON-like."""
        return {
            "representation": self.representation,
            "options": dict(self.representation_options),
            "size": self.size,
            "direct": self.direct,
            "windows": self.windows,
        }

    @property
    def side(self) -> int:
        """Height and width of the input in pixels."""
        return self.size or self.image.preprocess(np.zeros((8, 8, 3), np.uint8)).shape[-1]

    def preprocess(self, sample: EventStream) -> np.ndarray:
        """Convert a recording to (3, side, side) float32, or to (n, 3, side, side) of several windows."""
        if self.windows == 1:
            return self._convert(self.frame(sample))
        return np.stack([self._convert(frame) for frame in self.frame.draw_windows(sample, self.windows)])

    def _convert(self, frame: np.ndarray) -> np.ndarray:
        """Convert a frame to (3, side, side) float32."""
        if frame.shape[0] not in (1, 3):
            raise BadOption(f"expected a representation of 1 or 3 channels for an image encoder, got {frame.shape[0]}")
        if self.direct:
            return np.ascontiguousarray(np.broadcast_to(resize(frame, self.side), (3, self.side, self.side)))
        inputs = np.asarray(self.image.preprocess(frame_to_image(frame)))
        return resize(inputs, self.size) if self.size else inputs

    def collate(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Collate to the arrays of the image encoder; with several windows also their `shares` in each recording."""
        collate = self.image.collate if isinstance(self.image, export.EncoderInput) else super().collate
        if self.windows == 1:
            return collate(inputs)
        return {**collate(list(np.concatenate(inputs))), "shares": export.compute_shares(list(map(len, inputs)))}


def create_event_input(*, folder: Path, image: Mapping[str, Any], **options: Any) -> EventInput:
    """Create the preprocessing of an exported event encoder, from that of its image encoder."""
    return EventInput(export.create_nested_input(image, folder), **options)


def resize(channels: np.ndarray, side: int) -> np.ndarray:
    """Resize (channels, height, width) float32 to (channels, side, side), bilinear with antialiasing."""
    method = PIL.Image.Resampling.BILINEAR
    resized = [
        PIL.Image.fromarray(np.ascontiguousarray(each, np.float32)).resize((side, side), method) for each in channels
    ]
    return np.stack([np.asarray(each) for each in resized])


def frame_to_image(frame: np.ndarray) -> np.ndarray:
    """Convert a frame, (1 or 3, height, width) in [0, 1], to an `image` sample: uint8 (height, width, 3)."""
    levels = np.rint(255 * np.clip(frame, 0.0, 1.0)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (3, *levels.shape[1:])).transpose(1, 2, 0))


def clamp_options(options: Mapping[str, object], clamp: float) -> dict[str, object]:
    """Return options of an event encoder with per-pixel event counts clamped at `clamp`.

    Raises:
        BadOption: its representation has no clamp.
    """
    name = options.get("representation", "paper")
    representation = find_part(RepresentationSpec, str(name)).load()
    if not (isinstance(representation, type) and issubclass(representation, Representation)):
        raise BadOption(f"the representation {name!r} takes no clamp")
    try:
        clamped = representation.with_clamp(options.get("options") or {}, clamp)  # pyright: ignore[reportArgumentType]
    except BadOption as error:
        raise BadOption(f"the representation {name!r} takes no clamp") from error
    return {**options, "options": clamped}
