"""Count the parameters of the bundled bindings' encoders.

Published encoders are created without weights, at their published sizes. Encoders initialised from another one's
weights are not counted, nor those of LanguageBind, whose sizes are stated in their checkpoints only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import anybind
from anybind.commandline import print_table

RESULTS = Path(__file__).parent / "results" / "sizes.json"


def main() -> None:
    """Count the parameters; print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help=f"JSON report [default: {RESULTS.name} in benchmarks/results]")
    parser.add_argument("--quick", action="store_true", help="only `mini`; write only to a given --output")
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else RESULTS)
    mini = anybind.load("mini")
    rows = {"mini": {name: count_parameters(mini.encoder(name).module) for name in ("text", "image", "sound")}}
    if not arguments.quick:
        rows |= count_published()
    cells = [(name, modality, f"{n / 1e6:.1f}") for name, counts in rows.items() for modality, n in counts.items()]
    print_table(("binding", "modality", "million parameters"), cells)
    if output:
        output.write_text(json.dumps({"weights": rows}, indent=1) + "\n")


def count_published() -> dict[str, dict[str, int]]:
    """Count the parameters of the encoders of `mini-mpnet`, CLIP and ImageBind."""
    import open_clip
    import torch
    from transformers import MPNetConfig, MPNetModel

    from anybind_imagebind.modules import DEPTH, IMAGE, SOUND, TEXT, PatchTransformer, TextTransformer

    image = count_parameters(anybind.load("mini").encoder("image").module)
    rows: dict[str, dict[str, int]] = {}
    with torch.device("meta"):
        rows["mini-mpnet"] = {
            "text": count_parameters(MPNetModel(MPNetConfig(max_position_embeddings=514), add_pooling_layer=False)),
            "image": image,
        }
        for binding, name in (("clip-vit-b-32", "ViT-B-32"), ("clip-vit-l-14", "ViT-L-14")):
            model = open_clip.create_model(name, device="meta")
            image = count_parameters(model.visual)
            rows[binding] = {"text": count_parameters(model) - image, "image": image}
        architectures = {"image": IMAGE, "sound": SOUND, "depth": DEPTH}
        rows["imagebind"] = {"text": count_parameters(TextTransformer(TEXT))}
        for modality, architecture in architectures.items():
            rows["imagebind"][modality] = count_parameters(PatchTransformer(architecture))
    return rows


def count_parameters(module: Any) -> int:
    """Count the trainable parameters of a Torch module."""
    return sum(parameter.numel() for parameter in module.parameters())


if __name__ == "__main__":
    main()
