"""Films as heads see them, kept on disk so that neither another head nor another run need play them again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import AnybindError, Binder, Embeddings, EmbeddingStore, Space, concatenate
from anybind.contents import content_key
from anybind.plugin import BadInput, HeadInput, Item, files, ranks, tables
from anybind_vad.embed import BATCH, embed_windows, grouped, one_ahead
from anybind_vad.windows import FilmPass, open_film

CARD = "anybind-film"
CHECK = "anybind-check"


@dataclass(frozen=True)
class FilmRecord:
    """The windows of a film.

    Attributes:
        windows: what heads are told of them.
        firsts, lengths: of each window, the number of its first frame and how many it has.
        times_us: when each frame of the film is shown.
    """

    windows: HeadInput
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


def joined(sets: Sequence[HeadInput]) -> HeadInput:
    """Sets of windows, at least one, that follow each other in a film, as one; all know the same of their windows."""
    first = sets[0]
    starts = np.cumsum([0, *(len(each) for each in sets)])
    return HeadInput(
        {of: concatenate([each.embeddings[of] for each in sets]) for of in first.embeddings},
        {name: np.concatenate([each.measures[name] for each in sets]) for name in first.measures},
        {
            of: np.concatenate([each.rows[of] + start for each, start in zip(sets, starts[:-1], strict=True)])
            for of in first.embeddings
        },
    )


def film_key(path: Path) -> str:
    """What a film is known again by: a hash of its file, or of the names and the contents of its frames in a folder.

    Raises:
        BadInput: there is no such film, or it cannot be read.
    """
    try:
        if not path.is_dir():
            return files.file_key(path).hex()
        frames = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        key = content_key([[os.fsencode(each.name), files.file_key(each)] for each in frames])
    except OSError as error:
        raise BadInput(f"cannot read the film {path}: {error.strerror}") from error
    assert key is not None  # bytes have one
    return key.hex()


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
        return self.folder / f"{tables.settings_hash(dict(about))}.safetensors"

    def find(self, about: Mapping[str, Any]) -> FilmRecord | None:
        """The record of a film, if it is there and every byte is what was written; it was then used just now."""
        from safetensors import SafetensorError, safe_open

        path = self.path(about)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata[CHECK] != _check(metadata[CARD], held):
                return None
            record = _record(json.loads(metadata[CARD]), held)
        except (AnybindError, OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        with contextlib.suppress(OSError):  # of a folder that may only be read
            os.utime(path)
        return record

    def put(self, about: Mapping[str, Any], record: FilmRecord) -> None:
        """Keep a record; raises `BadInput` where it cannot be written."""
        from safetensors.numpy import save

        text, tensors = _parts(about, record)
        data = save(tensors, {CARD: text, CHECK: _check(text, tensors)})
        with files.atomic_path(self.path(about)) as temporary:
            temporary.write_bytes(data)


class StoredFilms:
    """Films that were recorded, in an embedding store."""

    def __init__(self, store: EmbeddingStore) -> None:
        self._table = store.table({"modality": "video", "of": CARD}, "films")

    def find(self, about: Mapping[str, Any]) -> FilmRecord | None:
        """The record of a film, if it is stored."""
        from safetensors.numpy import load

        data = self._table.get(_key(about))
        if data is None:
            return None
        held = load(data)
        return _record(json.loads(held.pop(CARD).tobytes()), held)

    def put(self, about: Mapping[str, Any], record: FilmRecord) -> None:
        """Store a record; a store that cannot be written warns of it."""
        from safetensors.numpy import save

        text, tensors = _parts(about, record)
        self._table.put({_key(about): save(tensors | {CARD: np.frombuffer(text.encode(), np.uint8)})})


def _key(about: Mapping[str, Any]) -> bytes:
    key = content_key("film", tables.settings_hash(dict(about)))
    assert key is not None  # texts have one
    return key


def _parts(about: Mapping[str, Any], record: FilmRecord) -> tuple[str, dict[str, np.ndarray]]:
    """A record as JSON and tensors."""
    windows = record.windows
    tensors = {"firsts": record.firsts, "lengths": record.lengths, "times_us": record.times_us}
    tensors |= {f"measure.{name}": values for name, values in windows.measures.items()}
    card: dict[str, Any] = {"about": dict(about), "embeddings": {}}
    for of, rows in windows.embeddings.items():
        tensors |= {f"vectors.{of}": rows.vectors, f"rows.{of}": windows.rows[of]}
        told = {name: getattr(rows, name) for name in ("modality", "ids", "encoder", "logit_scale")}
        card["embeddings"][of] = told | {"space": vars(rows.space)}
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    return json.dumps(card, ensure_ascii=False), tensors


def _check(card: str, tensors: Mapping[str, np.ndarray]) -> str:
    key = content_key(card, dict(tensors))
    assert key is not None  # texts and plain arrays have one
    return key.hex()


def _record(card: Mapping[str, Any], held: Mapping[str, np.ndarray]) -> FilmRecord:
    embeddings = {
        of: Embeddings(held[f"vectors.{of}"], Space(**fields.pop("space")), ids=tuple(fields.pop("ids")), **fields)
        for of, fields in card["embeddings"].items()
    }
    measures = {name.removeprefix("measure."): held[name] for name in held if name.startswith("measure.")}
    windows = HeadInput(embeddings, measures, {of: held[f"rows.{of}"] for of in embeddings})
    return FilmRecord(windows, held["firsts"], held["lengths"], held["times_us"])


class Films:
    """Films, played or taken up from where they are kept: a folder of the user's, or the binder's store."""

    def __init__(
        self,
        binder: Binder,
        needs: Iterable[str],
        keep: Keep | StoredFilms | None,
        batch_size: int,
        how: Mapping[str, Any],
    ) -> None:
        """Say how films are seen.

        Args:
            binder: what embeds.
            needs: modalities, `event` or `image`.
            keep: where films are kept; in the binder's store by default, if it has one.
            batch_size: windows that are embedded at a time.
            how: `frames`, `stride` and `threshold` of `FilmPass`.
        """
        self._binder, self._needs, self._batch_size, self._how = binder, tuple(needs), batch_size, dict(how)
        self._keep = keep or (StoredFilms(binder.store) if binder.store else None)
        self._played: set[str] = set()

    def record(self, item: Item) -> FilmRecord:
        """A film by its item, played only where it is not kept; its rows are counted as the binder counts its own.

        Raises:
            BadInput: there is no such film, it cannot be played to its end, or the user's folder cannot be written.
        """
        about = self._about(item)
        known = self._keep.find(about) if self._keep else None
        if known is None:
            return self._play(item, about)
        if item.id not in self._played:
            self._binder.counts.cached += sum(map(len, known.windows.embeddings.values()))
        return known

    def play_ahead(self, items: Sequence[Item]) -> None:
        """Under `torchrun`, play what is not kept yet, each rank its share, so that all ranks find it there.

        Films that cannot be played are told of by `record`.
        """
        keep, counts = self._keep, self._binder.counts
        if keep is None or ranks.world_size() < 2:
            return
        before = counts.computed

        def share() -> None:
            for item in items[ranks.rank() :: ranks.world_size()]:
                with contextlib.suppress(AnybindError):
                    about = self._about(item)
                    if keep.find(about) is None:
                        self._play(item, about)

        ranks.together(share)
        told = ranks.gather([sorted(self._played), counts.computed - before])
        self._played = {id for played, _ in told for id in played}
        counts.computed = before + sum(count for _, count in told)

    def _about(self, item: Item) -> dict[str, Any]:
        return {
            "film": [item.id, film_key(Path(item.source)), dict(item.options)],
            "needs": {of: self._binder.identity(of) for of in self._needs},
            "device": self._binder.device,
            **self._how,
        }

    def _play(self, item: Item, about: Mapping[str, Any]) -> FilmRecord:
        with ranks.alone():  # the others may be at another film
            film = open_film(item.source, **item.options)
            # A window by itself is not asked for again: the film is kept as a whole.
            binder = self._binder.with_store(None)
            record = record_film(film, binder, self._needs, batch_size=self._batch_size, **self._how)
        self._played.add(item.id)
        if self._keep:
            self._keep.put(about, record)
        return record
