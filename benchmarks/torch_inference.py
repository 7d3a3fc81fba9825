"""Speed of the torch path: channels-last, `torch.compile` and lower precision over eager float32.

Image towers alone, on random images: ViT-B/32 of open_clip with random weights, and EfficientNet-Lite0 of `mini`.
Variants alternate in one process and thread after a warm-up; `speed` is the median over rounds of eager's CPU time over
the variant's, `cosine` the lowest cosine similarity of an embedding with eager's. Ratios depend on the processor, whose
instruction sets the results name. Prints a table and writes torch_inference.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch

import anybind
from anybind.commandline import print_table
from anybind.low_precision import LowPrecision
from anybind.torch_encoder import TorchEncoder

RESULTS = Path(__file__).parent / "results" / "torch_inference.json"
BATCHES = 1, 32
SIDE = 224
VARIANTS = "eager", "channels-last", "torch.compile", "bf16", "bf16 autocast alone", "fp16"
Forward = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds [default: 5]")
    parser.add_argument("--variants", nargs="*", help="measure only these [default: all]")
    parser.add_argument("--models", nargs="*", help="measure only these [default: all]")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON file to write")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # so that CPU time is the time that a call takes on an idle machine
    rows = []
    for model, module in load_modules().items():
        if arguments.models and model not in arguments.models:
            continue
        for batch in BATCHES:
            rows += measure_variants(model, module, batch, arguments.rounds, arguments.variants)
    print_table(("model", "batch", "variant", "speed", "cosine"), [format_row(row) for row in rows])
    record = {
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n")


def load_modules() -> dict[str, torch.nn.Module]:
    """Load the image towers."""
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32", pretrained=None).visual.eval()
    mini = anybind.load("mini", backend="torch").encoder("image")
    assert isinstance(mini, TorchEncoder)
    return {"ViT-B/32": clip, "EfficientNet-Lite0": mini.module.to(memory_format=torch.contiguous_format)}


def make_variant(module: torch.nn.Module, name: str) -> Forward:
    """Return a function of a float32 batch; a variant that changes the module has a copy of it."""
    own = copy.deepcopy(module)
    if name == "channels-last":
        own = own.to(memory_format=torch.channels_last)
        return lambda images: own(images.contiguous(memory_format=torch.channels_last))
    if name == "torch.compile":
        return torch.compile(own)
    if name == "eager":
        return own
    low = LowPrecision(name.split()[0])

    def forward(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", low.dtype) if "autocast" in name else low.apply(own):
            return own(images)

    return forward


def measure_variants(
    model: str, module: torch.nn.Module, batch: int, rounds: int, names: list[str] | None
) -> list[dict[str, Any]]:
    """Measure all variants of a model at one batch size."""
    chosen = [name for name in VARIANTS if not names or name == "eager" or name in names]
    variants = {name: make_variant(module, name) for name in chosen}
    images = torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    with torch.inference_mode():
        outputs = {name: call(images).float() for name, call in variants.items()}
        for _ in range(rounds):
            for name, call in variants.items():
                start = time.process_time()
                call(images)
                seconds[name].append(time.process_time() - start)
    eager = seconds["eager"]
    return [
        {
            "model": model,
            "batch": batch,
            "variant": name,
            "rounds": rounds,
            "milliseconds": 1000 * statistics.median(seconds[name]),
            "speed": statistics.median(base / own for base, own in zip(eager, seconds[name], strict=True)),
            "cosine": torch.cosine_similarity(output, outputs["eager"]).min().item(),
        }
        for name, output in outputs.items()
    ]


def format_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    return (row["model"], str(row["batch"]), row["variant"], f"{row['speed']:.2f}", f"{row['cosine']:.5f}")


if __name__ == "__main__":
    main()
