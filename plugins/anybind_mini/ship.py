"""Export the event encoder of one or several training runs into the package, float16: `event.safetensors`.

    python -m anybind_mini.ship RUN [RUN ...]

A RUN is the output folder of `anybind train`. The weights of several runs are averaged (Wortsman et al., 2022, "Model
soups"); the runs must have the same initial weights, or one the weights of another.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from anybind import Binder, Binding, find_binding
from anybind.commandline import print_text
from anybind.plugin import TorchEncoder, tensors

FILE = Path(__file__).with_name("event.safetensors")


def average_states(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Average the float tensors of state dicts with the same names; others are those of the first."""
    first = states[0]
    return {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0) if each.is_floating_point() else each
        for name, each in first.items()
    }


def export_weights(runs: Sequence[Path], path: Path = FILE) -> Path:
    """Write the mean of the runs' last weights, with the card of the encoder as `mini` configures it.

    Args:
        runs: folders of runs that trained the event encoder of `mini`.
        path: the file.
    """
    binding = find_binding("mini")
    use = binding.encoders["event"]
    options = {name: value for name, value in use.options.items() if name != "weights"}
    encoders = {**binding.encoders, "event": Binding.configure(use.name, **options)}
    binder = Binder(Binding(binding.name, encoders, binding.summary, binding.space, binding.adapters))
    encoder = binder.encoder("event", "torch")
    assert isinstance(encoder, TorchEncoder)
    states = [tensors.read_tensors(run / "last.safetensors", framework="torch")[1] for run in runs]
    encoder.module.load_state_dict(average_states(states))
    encoder.module.half()
    encoder.save_weights(path)
    return path


def main() -> None:
    """Export the runs of the command line."""
    path = export_weights([Path(name) for name in sys.argv[1:]])
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
