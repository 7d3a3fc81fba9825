"""Scores on disk as they come, so that a run that was killed can be taken up where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from anybind.plugin import BadInput, BadOption, files

HEAD_BYTES = 1 << 16
"""How much of a film's beginning tells it from others: a copy that was cut off begins as the whole film does."""


def film_mark(path: Path) -> str:
    """What a film, or a folder of frames, is known again by: a hash of its first 64 KiB, or of its first frame's."""
    name = ""
    if path.is_dir():
        files = (each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        path = min(files, key=lambda each: each.name)
        name = path.name
    with path.open("rb") as file:
        return hashlib.sha256(name.encode(errors="surrogateescape") + file.read(HEAD_BYTES)).hexdigest()[:12]


class ScoreLog:
    """A file of JSON lines: what shaped the scores, then the scores of one group of windows a line.

    Lines are appended whole and handed to the system at once. A last one that is not whole, as a killed process
    leaves it, is dropped when the file is taken up.

    Attributes:
        path: the file.
        done: the scores of the groups that were there when it was opened, in order.
    """

    def __init__(self, path: Path, done: Sequence[Sequence[float]]) -> None:
        self.path, self.done = path, done
        self._file = path.open("ab")

    @classmethod
    def begin(cls, path: str | os.PathLike[str], about: Mapping[str, Any]) -> Self:
        """A new file, in place of what may be there.

        Args:
            path: the file.
            about: what shapes the scores, JSON-like.

        Raises:
            BadInput: it cannot be written.
        """
        file = files.check_output(path)
        file.write_text(json.dumps({"anybind_vad": 1, **about}, ensure_ascii=False) + "\n", encoding="utf-8")
        return cls(file, [])

    @classmethod
    def resume(cls, path: str | os.PathLike[str], about: Mapping[str, Any]) -> Self:
        """The file of a run of the same film and settings; a new one where there is none.

        Raises:
            BadOption: the run was of another film or had other settings; the message says which.
            BadInput: it is no such file, or cannot be read or written.
        """
        file = files.check_output(path)
        if not file.exists():
            return cls.begin(path, about)
        whole = file.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        if not whole:
            return cls.begin(path, about)
        try:
            told, *groups = map(json.loads, whole.splitlines())
            done = [[float(score) for score in group["scores"]] for group in groups]
            former = {key: told[key] for key in about}
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} holds no scores of a film that can be taken up; remove it, or name another"
            ) from error
        now = json.loads(json.dumps(dict(about)))
        changed = [key for key in now if now[key] != former[key]]
        if changed:
            key = changed[0]
            raise BadOption(
                f"{path} is of another run: {key} was {former[key]}, and is now {now[key]}; remove it to begin anew"
            )
        os.truncate(file, len(whole))
        return cls(file, done)

    def append(self, scores: Sequence[float]) -> None:
        """Add the scores of a group."""
        self._file.write(json.dumps({"scores": scores}).encode() + b"\n")
        self._file.flush()

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it where nothing is left to be taken up."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)
