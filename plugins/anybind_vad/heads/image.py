"""The head `image`: another head on the middle frame of each window instead of its events."""

from __future__ import annotations

from anybind.plugin import BadOption, Head


def make_image_head(*, base: str = "zero-shot", **options: object) -> Head:
    """Return the head `base` on image embeddings of each window's middle frame.

    With `base="zero-shot"` it is the row CLIP of the paper's table of anomaly detection. It is saved as the head `base`
    with `modality` set.

    Args:
        base: a head on embeddings of one modality, with the option `modality`.
        options: options of that head.

    Raises:
        UnknownName, BadOption: no such head, a head without embeddings, or an option that it does not have.
    """
    if base == "image" or "modality" in options:
        raise BadOption(
            "the head 'image': expected another head on embeddings as base, e.g. zero-shot, and no modality"
        )
    return Head.find(base, predicts="anomaly", modality="image", **options)
