"""Puts the event tower of a training run into the package: `event.safetensors`, float16.

    python -m anybind_mini.ship_event RUN [FILE]

RUN is the folder that `anybind train benchmarks/recipes/mini-event.toml` wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from anybind import atomic_path

FILE = Path(__file__).with_name("event.safetensors")


def ship(run: Path, path: Path) -> None:
    """Write the weights after the last epoch, with the card that says what they need; floats become float16."""
    with safe_open(run / "last.safetensors", framework="pt") as file:
        card = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(halves, temporary, metadata=card)


def main() -> None:
    """Read the run, write the file."""
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else FILE
    ship(Path(sys.argv[1]), path)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
