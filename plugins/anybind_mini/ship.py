"""Puts the tower of a training run into the package, float16: `event.safetensors` or `sound.safetensors`.

    python -m anybind_mini.ship RUN [FILE]

RUN is the folder that `anybind train` wrote for benchmarks/recipes/mini-event.toml or mini-sound.toml.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from anybind.plugin import files

FOLDER = Path(__file__).parent


def ship(run: Path, path: Path | None = None) -> Path:
    """Write the weights after the last epoch, with the card that says what they need; floats become float16.

    The file is named after the tower's modality where no other is given.
    """
    with safe_open(run / "last.safetensors", framework="pt") as file:
        card = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    path = path or FOLDER / f"{json.loads(card['anybind'])['modality']}.safetensors"
    with files.atomic_path(path) as temporary:
        save_file(halves, temporary, metadata=card)
    return path


def main() -> None:
    """Read the run, write the file."""
    path = ship(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
