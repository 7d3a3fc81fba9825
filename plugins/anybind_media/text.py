"""Text: the modality `text`."""

from __future__ import annotations

from anybind.plugin import BadInput, Modality


class Text(Modality[str]):
    """The modality of texts: non-empty strings."""

    name = "text"
    sample_type = "a str"

    def accepts(self, item: object) -> bool:
        return isinstance(item, str)

    def check(self, sample: str) -> None:
        if not sample.strip():
            raise BadInput("empty text; expected at least one word")
        if any("\ud800" <= letter <= "\udfff" for letter in sample):
            raise BadInput("text with invalid characters (surrogates); expected UTF-8")

    def show(self, sample: str) -> str:
        return sample
