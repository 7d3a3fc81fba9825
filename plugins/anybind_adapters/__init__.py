"""Bundled plugin: adapters that are fitted from pairs, from one space to another, and the command that fits them."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


@hookimpl
def register_adapters(register: Register) -> None:
    """Four kinds; each is loaded from a file that `anybind fit-adapter` wrote."""
    kinds = {
        "linear": ("Linear", "a single layer trained by InfoNCE, as in the paper's retrieval"),
        "mlp": ("Mlp", "a linear layer with a small network beside it, trained by InfoNCE"),
        "procrustes": ("Procrustes", "the nearest rotation, or semi-orthogonal map"),
        "ridge": ("Ridge", "least squares with a penalty that cross-validation chose"),
    }
    for name, (target, summary) in kinds.items():
        register(Spec(name=name, summary=summary, target=f"anybind_adapters.adapters:{target}", extra="adapters"))


@hookimpl
def register_bindings(register: Register) -> None:
    """CLIP's words, pictures and events beside ImageBind's sounds and depth maps."""
    register(
        Spec(
            name="clip-vit-l-14+imagebind",
            summary="CLIP L/14 carried to ImageBind's space by an adapter of your own; its file as NAME:PATH",
            target="anybind_adapters.binding:clip_and_imagebind",
            consumes=("text", "image", "event", "sound", "depth"),
            weights_licence="CC-BY-NC-SA-4.0",
            extra="imagebind",
        )
    )


@hookimpl
def register_commands(register: Register) -> None:
    """`anybind fit-adapter`."""
    register(
        Spec(
            name="fit-adapter",
            summary="Fit what carries vectors of one space to another.",
            target="anybind_adapters.fit_command:fit_adapter",
            extra="adapters",
        )
    )
