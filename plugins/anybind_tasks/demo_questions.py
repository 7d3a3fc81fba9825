"""What the demo asks of a binding: words for a recording, its picture, and a recording for words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import Binder
from anybind_tasks.zero_shot import DEFAULT_TEMPLATES, class_embeddings


@dataclass(frozen=True)
class Scene:
    """One thing that was recorded: its name, its recording, and its picture where there is one."""

    caption: str
    recording: Path
    picture: Path | None


@dataclass(frozen=True)
class Similarities:
    """Cosine similarities of rows with named columns, (n, m) float32."""

    values: np.ndarray
    columns: tuple[str, ...]

    def ranked(self, row: int) -> list[tuple[str, float]]:
        """(column, similarity) of a row, best first."""
        order = np.argsort(-self.values[row], kind="stable")
        return [(self.columns[i], float(self.values[row, i])) for i in order]

    def best(self, row: int) -> str:
        """The column that a row is nearest to."""
        return self.ranked(row)[0][0]


@dataclass(frozen=True)
class Answers:
    """The demo's answers.

    Attributes:
        names: of the recordings; captions, made unique.
        captions: what each recording is of.
        event_to_words, picture_to_words: recordings and pictures (rows) against words.
        event_to_pictures: recordings against pictures; None without pictures.
        words_to_recording: for those words that are captions, the recording that fits best.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    event_to_words: Similarities
    event_to_pictures: Similarities | None
    picture_to_words: Similarities | None
    words_to_recording: dict[str, str]

    def summary(self) -> list[str]:
        """One line a question: how many answers were right, and how many chance gives."""
        rows, words = len(self.names), self.event_to_words.columns
        asked = [caption for caption in self.captions if caption in words]
        lines = []
        if asked:
            right = sum(self.event_to_words.best(i) == self.captions[i] for i in range(rows))
            lines.append(_line("recordings recognised by words", right, len(asked), len(words)))
            right = sum(self.captions[self.names.index(n)] == w for w, n in self.words_to_recording.items())
            lines.append(_line("recordings found by words", right, len(self.words_to_recording), rows))
        if self.event_to_pictures and self.picture_to_words:
            columns = self.event_to_pictures.columns
            right = sum(self.event_to_pictures.best(self.names.index(name)) == name for name in columns)
            lines.append(_line("pictures found by their recording", right, len(columns), len(columns)))
            captions = [self.captions[self.names.index(name)] for name in columns]
            if asked:
                right = sum(self.picture_to_words.best(i) == caption for i, caption in enumerate(captions))
                lines.append(_line("pictures recognised by words, to compare", right, len(captions), len(words)))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """JSON-like: for each recording, all words and pictures with their similarities, best first."""
        recordings = [
            {
                "name": name,
                "caption": self.captions[row],
                "words": dict(self.event_to_words.ranked(row)),
                "pictures": dict(self.event_to_pictures.ranked(row)) if self.event_to_pictures else {},
            }
            for row, name in enumerate(self.names)
        ]
        return {"recordings": recordings, "found_by_words": self.words_to_recording, "summary": self.summary()}


def _line(what: str, right: int, of: int, choices: int) -> str:
    return f"{what}: {right} of {of} (chance: {of / choices:.1f})"


def ask(binder: Binder, scenes: Sequence[Scene], words: Sequence[str]) -> Answers:
    """Ask every question of the demo.

    Args:
        binder: with encoders for event and text and, when a scene has a picture, image.
        scenes: at least one; recordings are read from their files.
        words: at least two.
    """
    names = _unique([scene.caption for scene in scenes])
    pictured = [(name, scene.picture) for name, scene in zip(names, scenes, strict=True) if scene.picture]
    events = binder.embed("event", [scene.recording for scene in scenes])
    texts = class_embeddings(binder, words, DEFAULT_TEMPLATES)
    pictures = binder.embed("image", [picture for _, picture in pictured]) if pictured else None
    to_words = events @ texts
    captions = tuple(scene.caption for scene in scenes)
    picture_names = tuple(name for name, _ in pictured)
    return Answers(
        names=tuple(names),
        captions=captions,
        event_to_words=Similarities(to_words, tuple(words)),
        event_to_pictures=None if pictures is None else Similarities(events @ pictures, picture_names),
        picture_to_words=None if pictures is None else Similarities(pictures @ texts, tuple(words)),
        words_to_recording={
            word: names[int(np.argmax(to_words[:, column]))] for column, word in enumerate(words) if word in captions
        },
    )


def _unique(captions: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for caption in captions:
        seen[caption] = seen.get(caption, 0) + 1
        names.append(caption if seen[caption] == 1 else f"{caption} ({seen[caption]})")
    return names
