"""CLIP's two encoders, as OpenAI published them and open_clip builds them, in the layout of transformers.

The names are those of the published state dict and of `transformers.CLIPModel`. Every tensor is converted or refused;
`saving` compares the converted encoders with the original ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from anybind.plugin import errors

FIRST_LAYER = "transformer.resblocks.0.ln_1.weight"
NAMES = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
"""Names of tensors outside the layers, the same in both encoders."""
LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
"""Names of modules of a layer."""
IN_PROJECTION = re.compile(r"attn\.in_proj_(weight|bias)")
LAYER_NAME = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
PROJECTIONS = {"proj": "visual_projection", "text_projection": "text_projection"}


def convert_encoder(module: nn.Module, part: str) -> dict[str, torch.Tensor]:
    """Convert the state of one encoder to the names of `transformers.CLIPModel`.

    Args:
        module: the encoder, with the names of OpenAI's CLIP below any prefix.
        part: `vision_model` or `text_model`.

    Raises:
        UnsupportedBackend: a tensor that CLIP does not have.
    """
    prefix, state = _strip_prefix(module)
    converted: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name == "logit_scale":
            converted[name] = tensor
        elif name in PROJECTIONS:
            converted[f"{PROJECTIONS[name]}.weight"] = tensor.T
        elif name in NAMES:
            converted[f"{part}.{NAMES[name]}"] = tensor
        elif match := LAYER_NAME.fullmatch(name):
            for parameter, rows in _convert_layer(match[2], tensor):
                converted[f"{part}.encoder.layers.{match[1]}.{parameter}"] = rows
        elif name != "attn_mask":
            raise errors.UnsupportedBackend(f"the tensor {prefix}{name} is not one of CLIP's")
    return {name: tensor.detach().clone().contiguous() for name, tensor in converted.items()}


def _convert_layer(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    if match := IN_PROJECTION.fullmatch(name):
        for part, rows in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True):
            yield f"self_attn.{part}.{match[1]}", rows
        return
    layer, _, parameter = name.rpartition(".")
    if layer not in LAYER:
        raise errors.UnsupportedBackend(f"the tensor {name} of a layer is not one of CLIP's")
    yield f"{LAYER[layer]}.{parameter}", tensor


def describe_encoder(module: nn.Module) -> dict[str, object]:
    """Describe an encoder by the keys of `CLIPTextConfig` and `CLIPVisionConfig`.

    Raises:
        UnsupportedBackend: it is not a transformer of CLIP.
    """
    prefix, state = _strip_prefix(module)
    attention = module.get_submodule(f"{prefix}transformer.resblocks.0.attn")
    if not isinstance(attention, nn.MultiheadAttention):
        raise errors.UnsupportedBackend(f"expected torch's attention, got {type(attention).__name__}")
    layers = {match[1] for name in state if (match := LAYER_NAME.fullmatch(name))}
    config = {
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.num_heads,
        "hidden_size": attention.embed_dim,
        "intermediate_size": len(state["transformer.resblocks.0.mlp.c_fc.weight"]),
        "hidden_act": _find_activation(module, prefix),
        "layer_norm_eps": module.get_submodule(f"{prefix}transformer.resblocks.0.ln_1").eps,
    }
    if "conv1.weight" in state:
        patch = state["conv1.weight"].shape[-1]
        side = round((len(state["positional_embedding"]) - 1) ** 0.5) * patch
        return {**config, "patch_size": patch, "image_size": side}
    return {**config, "vocab_size": len(state["token_embedding.weight"])}


def _find_activation(module: nn.Module, prefix: str) -> str:
    """Return the name in transformers of the activation, compared by its values."""
    layers = dict(module.get_submodule(f"{prefix}transformer.resblocks.0.mlp").named_children())
    activation = next((layer for layer in layers.values() if not isinstance(layer, nn.Linear)), None)
    values = torch.linspace(-4, 4, 33)
    if activation is not None:
        output = activation(values)
        if torch.allclose(output, nn.functional.gelu(values), atol=1e-6):
            return "gelu"
        if torch.allclose(output, values * torch.sigmoid(1.702 * values), atol=1e-6):
            return "quick_gelu"
    raise errors.UnsupportedBackend(f"expected GELU or its sigmoid approximation, got {type(activation).__name__}")


def _strip_prefix(module: nn.Module) -> tuple[str, Mapping[str, torch.Tensor]]:
    """Return the prefix of the names of an encoder's tensors, and the tensors without it."""
    state = module.state_dict()
    first = next((name for name in state if name.endswith(FIRST_LAYER)), None)
    if first is None:
        raise errors.UnsupportedBackend("it is not a transformer of CLIP")
    prefix = first.removesuffix(FIRST_LAYER)
    return prefix, {name.removeprefix(prefix): tensor for name, tensor in state.items()}
