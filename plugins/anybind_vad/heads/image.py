"""The head `image`: another head, asked of the picture in the middle of each window instead of its events."""

from __future__ import annotations

from anybind.plugin import BadOption, Head


def make_image_head(*, base: str = "zero-shot", **options: object) -> Head:
    """The head `of`, reading the image tower's embedding of each window's middle frame.

    With `of="zero-shot"` it is the row named CLIP in the paper's table of anomaly detection. What it saves is a file
    of the head `of`, with `modality` set.

    Args:
        of: a head that reads embeddings of one modality, and takes it as the option `modality`.
        options: of that head.

    Raises:
        UnknownName, BadOption: no such head, one that reads no embeddings, or an option that it does not take.
    """
    if base == "image" or "modality" in options:
        raise BadOption("the head 'image' asks another head about images: name one that reads embeddings, as zero-shot")
    return Head.find(base, predicts="anomaly", modality="image", **options)
