"""Films as heads see them, kept on disk so that neither another head nor another run need play them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import BadInput, Binder, Embeddings, Space, WindowSet, atomic_path, concatenate, settings_hash
from anybind_tasks.vad.embed import BATCH, embed_windows, grouped, one_ahead
from anybind_tasks.vad.windows import FilmPass

CARD = "anybind-film"


@dataclass(frozen=True)
class FilmRecord:
    """The windows of a film.

    Attributes:
        windows: what heads are told of them.
        firsts, lengths: of each window, the number of its first frame and how many it has.
        times_us: when each frame of the film is shown.
    """

    windows: WindowSet
    firsts: np.ndarray
    lengths: np.ndarray
    times_us: np.ndarray

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First frame and number of frames of each window."""
        return list(zip(self.firsts.tolist(), self.lengths.tolist(), strict=True))


def record_film(
    film: Any, binder: Binder, needs: Iterable[str], *, batch_size: int = BATCH, **options: Any
) -> FilmRecord:
    """Play a film and embed its windows.

    Args:
        film: a sample of the modality `video`.
        binder: what embeds.
        needs: modalities, `event` or `image`.
        batch_size: windows that are embedded at a time.
        options: `frames`, `stride` and `threshold` of `FilmPass`.

    Raises:
        BadInput: the film is empty, or cannot be played to its end.
    """
    needs = tuple(needs)
    passed = FilmPass(film, pictures="image" in needs, **options)
    sets, spans = [], []
    for group in one_ahead(grouped(passed, batch_size)):
        sets.append(embed_windows(binder, group, needs, batch_size, making=passed.making))
        spans += [(window.first, window.frames) for window in group]
    firsts, lengths = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    return FilmRecord(joined(sets), firsts, lengths, np.array(passed.times, dtype=np.int64))


def joined(sets: Sequence[WindowSet]) -> WindowSet:
    """Sets of windows, at least one, that follow each other in a film, as one; all know the same of their windows."""
    first = sets[0]
    starts = np.cumsum([0, *(len(each) for each in sets)])
    return WindowSet(
        {of: concatenate([each.embeddings[of] for each in sets]) for of in first.embeddings},
        {name: np.concatenate([each.measures[name] for each in sets]) for name in first.measures},
        {
            of: np.concatenate([each.rows[of] + start for each, start in zip(sets, starts[:-1], strict=True)])
            for of in first.embeddings
        },
    )


class Keep:
    """A folder of films that were recorded, one file each.

    A file is taken up only where the film (its id), the encoders and all settings are the same.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing; raises `BadInput` where that cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot keep films in {folder}: {error.strerror}") from error
        self.folder = folder

    def path(self, about: Mapping[str, Any]) -> Path:
        """The file of a film, given all that shapes its record."""
        return self.folder / f"{settings_hash(dict(about))}.safetensors"

    def find(self, about: Mapping[str, Any]) -> FilmRecord | None:
        """The record of a film, if it is there and whole."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(about), framework="numpy") as file:
                card = json.loads((file.metadata() or {})[CARD])
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        embeddings = {
            of: Embeddings(held[f"vectors.{of}"], Space(**fields.pop("space")), ids=tuple(fields.pop("ids")), **fields)
            for of, fields in card["embeddings"].items()
        }
        measures = {name.removeprefix("measure."): held[name] for name in held if name.startswith("measure.")}
        windows = WindowSet(embeddings, measures, {of: held[f"rows.{of}"] for of in embeddings})
        return FilmRecord(windows, held["firsts"], held["lengths"], held["times_us"])

    def put(self, about: Mapping[str, Any], record: FilmRecord) -> None:
        """Keep a record; raises `BadInput` where it cannot be written."""
        from safetensors.numpy import save_file

        windows = record.windows
        tensors = {"firsts": record.firsts, "lengths": record.lengths, "times_us": record.times_us}
        tensors |= {f"measure.{name}": values for name, values in windows.measures.items()}
        card: dict[str, Any] = {"about": dict(about), "embeddings": {}}
        for of, rows in windows.embeddings.items():
            tensors |= {f"vectors.{of}": rows.vectors, f"rows.{of}": windows.rows[of]}
            told = {name: getattr(rows, name) for name in ("modality", "ids", "encoder", "logit_scale")}
            card["embeddings"][of] = told | {"space": vars(rows.space)}
        with atomic_path(self.path(about)) as temporary:
            contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
            save_file(contiguous, temporary, metadata={CARD: json.dumps(card, ensure_ascii=False)})
