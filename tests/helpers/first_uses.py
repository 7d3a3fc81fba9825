"""Print what a process uses for the first time after a live source has started: modules, and loops it compiles.

    PYTHONPATH=tests python -m helpers.first_uses FOLDER SOURCE

The folder has a recording, bar.aedat4, bar.raw and bar.csv; the source is a file, `stdin`, or `dv`.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

from anybind.jit import Kernel
from anybind_classification import watch
from anybind_classification.live_page import make_message
from anybind_events import LiveSource
from anybind_events.live.dv import DvInput
from anybind_events.live.pipe import StandardInput
from anybind_events.live.replay import Replay

MAGIC = b"#!AER-DAT4.0\r\n"


def list_first_uses(source: LiveSource, filters: str) -> list[str]:
    """Watch a source to its end; return the modules and compiled signatures that came after its start."""
    before: set[str] = set()
    chunks = source.chunks

    def record_start() -> Any:
        before.update(list_used())
        return chunks()

    source.chunks = record_start
    for answer in watch(source, ["a face", "a cat"], filters=filters, drop="block", warm_up=make_message):
        make_message(answer)
    assert before
    return sorted(list_used() - before)


def list_used() -> set[str]:
    """Return the names of all modules and of all signatures of kernels."""
    kernels = [each for each in gc.get_objects() if type(each) is Kernel]
    compiled = {
        f"{each.py_func.__qualname__}{signature}" for each in kernels for signature in each.compile().signatures
    }
    return compiled | set(sys.modules)


def list_packets(data: bytes) -> bytes:
    """Return what a network writer sends of an AEDAT4 file: without its first line and its table of packets."""
    data = data.removeprefix(MAGIC)
    position = 4 + int.from_bytes(data[:4], "little")
    while position + 8 <= len(data):
        number, size = struct.unpack("<ii", data[position : position + 8])
        if number != 0 or position + 8 + size > len(data):
            break
        position += 8 + size
    return data[:position]


def send_packets(data: bytes) -> int:
    """Send data to the first client of a port, and return the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)

    threading.Thread(target=send, daemon=True).start()
    return server.getsockname()[1]


def write_to_pipe(data: bytes) -> int:
    """Write data into a pipe, and return the descriptor to read."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    threading.Thread(target=write, daemon=True).start()
    return reading


def main() -> None:
    """Print a JSON list."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    if name == "dv":
        source = DvInput(port=send_packets(list_packets((folder / "bar.aedat4").read_bytes())))
    elif name == "stdin":
        source = StandardInput(descriptor=write_to_pipe((folder / "bar.raw").read_bytes()), size="64x64")
    else:
        source = Replay(folder / name, speed=0)
    print(json.dumps(list_first_uses(source, "background-activity,hot-pixel")))


if __name__ == "__main__":
    main()
