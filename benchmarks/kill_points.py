"""Points at which `kills.py` kills a command: hooks of the process itself, which report a point before it dies."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any


class KillPoints:
    """Counts the points of this process, logs them, and kills the process at one of them.

    Points are `made` (a temporary file was opened for writing) and `renaming` (it is complete), or with `store` inside
    a transaction of the embedding store. After a delay, `writing` is before the end of that write, `renamed` after it.
    """

    def __init__(self, log: Path, goal: int, delay: float, store: bool) -> None:
        """Set the points; nothing is counted before `install`.

        Args:
            log: file for one line a point and a batch of encoded samples.
            goal: number of the point at which the process is killed, from 1; 0 for none.
            delay: seconds from the point to the kill.
            store: count transactions of the store instead of written files.
        """
        self.log, self.goal, self.delay, self.store = log, goal, delay, store
        self.n_points, self.is_inside = 0, False

    def install(self) -> None:
        """Install the hooks, which cannot be removed."""
        self._count_encoded()
        if self.store:
            self._watch_transactions()
        else:
            sys.addaudithook(self._watch_files)

    def write_line(self, line: str) -> None:
        """Append a line to the log."""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)

    def reach(self, point: str) -> None:
        """Count a point, and kill the process at the chosen one or some time after it."""
        self.n_points += 1
        self.write_line("point")
        if self.n_points == self.goal:
            if not self.delay:
                self._kill(point)
            inside = "store" if self.store else "writing"
            timer = threading.Timer(self.delay, lambda: self._kill(inside if self.is_inside else "renamed"))
            timer.daemon = True
            timer.start()

    def _kill(self, point: str) -> None:
        self.write_line(point)
        os.kill(os.getpid(), signal.SIGKILL)

    def _watch_files(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename") or not isinstance(arguments[0], str | Path):
            return
        path, writes = str(arguments[0]), os.O_WRONLY | os.O_RDWR
        if "/.anybind-" not in path or path.endswith(".lock"):
            return
        if event == "os.rename":
            self.reach("renaming")
            self.is_inside = False
        elif isinstance(arguments[2], int) and arguments[2] & writes:
            self.is_inside = True
            self.reach("made")

    def _watch_transactions(self) -> None:
        points, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def executemany(self, *arguments: Any) -> sqlite3.Cursor:
                points.is_inside = True
                cursor = super().executemany(*arguments)
                if "INSERT" in arguments[0]:
                    points.reach("store")
                return cursor

            def __exit__(self, *error: Any) -> Any:
                result = super().__exit__(*error)
                points.is_inside = False
                return result

        sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Connection, **options)

    def _count_encoded(self) -> None:
        """Log the number of samples of each batch that an encoder computes."""
        import anybind.binder
        import anybind.loading

        encode_batch = anybind.loading.encode_batch

        def count(encoder: Any, batch: Any, on_invalid: Any) -> Any:
            if missing := sum(not each.cached for each in batch):
                self.write_line(f"encoded {missing}")
            return encode_batch(encoder, batch, on_invalid)

        for module in (anybind.binder, anybind.loading):
            vars(module)["encode_batch"] = count
