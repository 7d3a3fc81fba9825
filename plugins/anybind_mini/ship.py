"""Export the weights of a training run into the package, float16: `event.safetensors`.

    python -m anybind_mini.ship RUN [FILE]

RUN is the output folder of `anybind train` for benchmarks/recipes/mini-event.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from anybind.commandline import print_text
from anybind.plugin import tensors

FOLDER = Path(__file__).parent


def export_weights(run: Path, path: Path | None = None) -> Path:
    """Write the last epoch's weights and their card; floats become float16.

    Args:
        run: folder of the run.
        path: the file. [default: `MODALITY.safetensors` in the package]
    """
    card, state = tensors.read_tensors(run / "last.safetensors", framework="torch")
    weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    path = path or FOLDER / f"{card['modality']}.safetensors"
    tensors.write_tensors(path, weights, card)
    return path


def main() -> None:
    """Export the run of the command line."""
    path = export_weights(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
