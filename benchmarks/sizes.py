"""How many weights the towers of the bundled bindings have: `python benchmarks/sizes.py`.

Towers whose weights are not at hand are made without any, at the published sizes, and counted. A tower that is a copy
of another, or the other itself, is not counted: it starts with the same weights. Those of LanguageBind say their sizes
in their checkpoints only, and are left out. Writes benchmarks/results/sizes.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch

import anybind
from anybind_imagebind.modules import DEPTH, IMAGE, SOUND, TEXT, PatchTransformer, TextTransformer

RESULTS = Path(__file__).parent / "results" / "sizes.json"


def weights(module: torch.nn.Module) -> int:
    """How many numbers training would change."""
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    """Count, print and write."""
    mini = anybind.load("mini")
    rows = {"mini": {modality: weights(mini.encoder(modality).module) for modality in ("text", "image", "sound")}}
    with torch.device("meta"):
        for binding, name in (("clip-vit-b-32", "ViT-B-32"), ("clip-vit-l-14", "ViT-L-14")):
            model = open_clip.create_model(name, device="meta")
            image = weights(model.visual)
            rows[binding] = {"text": weights(model) - image, "image": image}
        seen = {"image": IMAGE, "sound": SOUND, "depth": DEPTH}
        rows["imagebind"] = {"text": weights(TextTransformer(TEXT))}
        rows["imagebind"] |= {modality: weights(PatchTransformer(of)) for modality, of in seen.items()}
    RESULTS.write_text(json.dumps({"weights": rows}, indent=1) + "\n")
    for binding, counts in rows.items():
        print(binding, {modality: f"{count / 1e6:.1f} million" for modality, count in counts.items()})


if __name__ == "__main__":
    main()
