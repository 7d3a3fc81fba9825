"""What the demo asks of a binding: words for a recording, its picture, and a recording for words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from anybind import Binder
from anybind.plugin import prompts


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
class Score:
    """How often a question was answered rightly.

    Attributes:
        question: in words.
        right, of: right answers, and how often it was asked.
        choices: how many answers there were to choose from each time.
    """

    question: str
    right: int
    of: int
    choices: int

    @property
    def chance(self) -> float:
        """Right answers to expect from guessing."""
        return self.of / self.choices

    def __str__(self) -> str:
        return f"{self.question}: {self.right} of {self.of} (chance: {self.chance:.1f})"


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

    def summary(self) -> list[Score]:
        """How many answers were right, question by question; those without a known answer are left out."""
        words, pictures = self.event_to_words, self.event_to_pictures
        asked = [row for row, caption in enumerate(self.captions) if caption in words.columns]
        scores = []
        if asked:
            right = sum(words.best(row) == self.captions[row] for row in asked)
            scores.append(Score("recordings recognised by words", right, len(asked), len(words.columns)))
            found = self.words_to_recording.items()
            right = sum(self.captions[self.names.index(name)] == word for word, name in found)
            scores.append(Score("recordings found by words", right, len(found), len(self.names)))
        if pictures and self.picture_to_words:
            rows = [self.names.index(name) for name in pictures.columns]
            right = sum(pictures.best(row) == self.names[row] for row in rows)
            scores.append(Score("pictures found by their recording", right, len(rows), len(rows)))
            known = [(column, row) for column, row in enumerate(rows) if row in asked]
            right = sum(self.picture_to_words.best(column) == self.captions[row] for column, row in known)
            if known:
                what = "pictures recognised by words, to compare"
                scores.append(Score(what, right, len(known), len(words.columns)))
        return scores

    def to_dict(self) -> dict[str, object]:
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
        return {
            "recordings": recordings,
            "found_by_words": self.words_to_recording,
            "summary": [asdict(score) for score in self.summary()],
        }


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
    texts = prompts.embed_class_names(binder, "text", words, prompts.DEFAULT_TEMPLATES)
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
