"""EventCLIP's views (Wu et al., 2023): one image embedding for each slice of a recording, and texts to compare with.

EventCLIP classifies by the mean over views of the similarities. In the space of k views an event embedding is the
views' unit embeddings in a row, and a text embedding is the text's, k times; both are divided by the square root of k.
Their cosine similarity is the mean over views, and a head still has every view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional

from anybind import Space, load_encoder
from anybind.plugin import (
    Adapter,
    BadOption,
    Encoder,
    Representation,
    TorchEncoder,
    create_part,
    samples,
)

PartTable = Mapping[str, object]
"""A registered part and its options, as a table of a binding file: `{ use = NAME, OPTION = VALUE }`."""


def make_view_space(space: Space, views: int) -> Space:
    """Return the space of several views, of views * dim dimensions."""
    return Space(f"{space.name}, {views} views", views * space.dim, space.backbone)


def create_encoder(source: Encoder | PartTable, modality: str, option: str) -> Encoder:
    """Return an encoder, or load it by its table; raise `BadOption` if it is not of the modality."""
    if not isinstance(source, Encoder):
        name, options = split_table(source, option)
        binder = load_encoder(name, backend="torch", **options)  # warns of weights that are not for commercial use
        source = binder.encoder(binder.modalities[0])
    if source.modality != modality:
        raise BadOption(f"{option}: expected an encoder of {modality}, got one of {source.modality}")
    return source


def split_table(table: PartTable, option: str) -> tuple[str, dict[str, Any]]:
    """Split the table of a part into its name and options; `option` is named in the error."""
    options = dict(table) if isinstance(table, Mapping) else {}
    name = options.pop("use", None)
    if not isinstance(name, str):
        raise BadOption(f"{option}: expected one of the binding or a table {{ use = NAME }}, got {table!r}")
    return name, options


def create_image_encoder(source: Encoder | PartTable, *, plain: bool = False) -> TorchEncoder:
    """Return a torch image encoder, or create it from its table.

    Args:
        source: the encoder or its table.
        plain: require that its features are the output of its module, so that the module alone can be copied.

    Raises:
        BadOption: another encoder.
    """
    image = create_encoder(source, "image", "image_encoder")
    if not isinstance(image, TorchEncoder):
        raise BadOption("image_encoder: expected an encoder on torch")
    if plain and type(image).features is not TorchEncoder.features:
        raise BadOption(f"image_encoder: {type(image).__name__} computes its features in a way of its own")
    return image


class SliceEncoder(TorchEncoder):
    """The base of encoders that apply an image encoder's module to each view of a representation.

    Attributes:
        image: the image encoder, which prepares the frames.
        frame: the representation; its views are stacked along the channels.
    """

    def prepare_views(
        self, image: TorchEncoder, representation: str, options: Mapping[str, object] | None, size: int
    ) -> None:
        """Set the image encoder, the representation, and the side that inputs are resized to (0: not resized).

        Raises:
            BadOption: no such option of the representation, or a negative size.
        """
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise BadOption(f"size: expected a whole number of pixels, 0 or more, got {size!r}")
        self.image, self.size = image, size
        self.frame: Representation = create_part("representation", representation, **(options or {}))

    @property
    def views(self) -> int:
        """Number of views of a recording."""
        return self.frame.views

    def preprocess(self, sample: samples.EventSample) -> torch.Tensor:
        """Convert a recording to the image encoder's inputs, (views, 3, height, width)."""
        frame = self.frame(sample)
        frames = frame.reshape(self.views, -1, *frame.shape[1:])
        if frames.shape[1] not in (1, 3):
            raise BadOption(f"expected a representation of 1 or 3 channels a view, got {frames.shape[1]}")
        levels = np.rint(255 * np.clip(frames, 0, 1)).astype(np.uint8)
        images = np.broadcast_to(levels, (self.views, 3, *levels.shape[2:])).transpose(0, 2, 3, 1)
        inputs = torch.stack([self.image.preprocess(np.ascontiguousarray(each)) for each in images])
        if not self.size:
            return inputs
        return functional.interpolate(inputs, (self.size,) * 2, mode="bilinear", antialias=True, align_corners=False)

    def collate(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Collate n recordings to (n * views, 3, height, width)."""
        return self.image.collate(list(torch.cat(list(inputs)))).to(self.device)


class ViewEncoder(SliceEncoder):
    """EventCLIP's frozen image encoder on the slices of a recording: (n, views * d), in the space of the views."""

    def __init__(
        self,
        image_encoder: Encoder | PartTable,
        *,
        representation: str = "event-slices",
        options: Mapping[str, object] | None = None,
        adapters: Sequence[PartTable] = (),
        size: int = 0,
    ) -> None:
        """Share an image encoder.

        Args:
            image_encoder: the image encoder, whose weights are shared; in a binding file `"@image"`, or a table
                `{ use = NAME, OPTION = VALUE }`.
            representation: of each view; by default 2 slices of 20,000 events as gray frames on white.
            options: of the representation, such as `views` and `count`.
            adapters: tables of the adapters from the image encoder's space to that of the texts.
            size: side in pixels that the inputs are resized to, 0 for no resizing.

        Raises:
            BadOption: no torch image encoder, or an invalid option.
        """
        image = create_image_encoder(image_encoder)
        self.prepare_views(image, representation, options, size)
        tables = [split_table(each, "adapters") for each in adapters]
        self.adapters: list[Adapter] = [create_part("adapter", name, **own) for name, own in tables]
        space = self.adapters[-1].target if self.adapters else image.space
        super().__init__(
            image.module,
            modality="event",
            space=make_view_space(space, self.views),
            preprocessing={
                "frame": dict(self.frame.settings),
                "image": dict(image.preprocessing),
                "adapters": [adapter.identity for adapter in self.adapters],
                "size": size,
            },
            logit_scale=image.logit_scale,
        )

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        vectors = functional.normalize(self.image.features(batch), dim=1)
        for adapter in self.adapters:
            vectors = functional.normalize(adapter.map_tensor(vectors), dim=1)
        return vectors.reshape(len(batch) // self.views, -1)

    def copy(self) -> Self:
        twin = super().copy()
        twin.image = self.image.copy()
        twin.image.module = twin.module
        return twin


class RepeatedText(Encoder):
    """A text encoder in the space of several views: the embedding of the text, repeated."""

    def __init__(self, text_encoder: Encoder | PartTable, *, views: int = 2) -> None:
        """Share a text encoder.

        Args:
            text_encoder: in a binding file a table `{ use = NAME, OPTION = VALUE }`.
            views: number of views.

        Raises:
            BadOption: no text encoder, or fewer than one view.
        """
        if not isinstance(views, int) or views < 1:
            raise BadOption(f"views: expected a whole number above 0, got {views!r}")
        self.text = create_encoder(text_encoder, "text", "text_encoder")
        self.modality, self.views = "text", views
        self.space, self.logit_scale = make_view_space(self.text.space, views), self.text.logit_scale

    @property
    def weights_hash(self) -> str:
        return self.text.weights_hash

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return {**self.text.preprocessing, "views": self.views}

    def to(self, device: str) -> Self:
        self.text.to(device)
        return self

    def preprocess(self, sample: str) -> object:
        return self.text.preprocess(sample)

    def encode(self, inputs: Sequence[object]) -> np.ndarray:
        return np.tile(self.text.encode(inputs), self.views) / np.float32(np.sqrt(self.views))
