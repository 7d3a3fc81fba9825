"""Words."""

from __future__ import annotations

from anybind.plugin import BadInput, Modality


class Text(Modality[str]):
    """A text: a plain string that is not empty."""

    name = "text"

    def accepts(self, item: object) -> bool:
        return isinstance(item, str)

    def check(self, sample: str) -> None:
        if not sample.strip():
            raise BadInput("the text is empty; give at least one word")
        if any("\ud800" <= letter <= "\udfff" for letter in sample):
            raise BadInput("the text holds bytes that are no characters; give it as UTF-8")

    def show(self, sample: str) -> str:
        return sample
