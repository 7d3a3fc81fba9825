"""`Exporter`: writes and measures the encoders of one binding."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anybind import Binder, normalize
from anybind.plugin import Adapter, BindingSpec, Encoder, EncoderSpec, export, find_part, list_parts, prompts
from anybind_export import gate, graphs
from anybind_export.binding import ADAPTERS
from anybind_export.card import ExportCard, ExportedPart, Gate, Precision, Runtime, get_graph_path, hash_files
from anybind_export.encoder import GraphEncoder
from anybind_export.generated_samples import CLASS_NAMES
from anybind_export.processor import describe_processor
from anybind_export.samples import ExportSamples

N_CALIBRATION = 64
"""Number of samples that activations are calibrated on."""
N_TRACED = 3
"""Number of samples of the traced batch."""


@dataclass(frozen=True)
class WrittenGraph:
    """A graph on disk with its measured accuracy."""

    exported: GraphEncoder
    recipe: str
    gate: Gate


@dataclass(frozen=True)
class Exporter:
    """An export of a binding.

    Attributes:
        source: the binding in torch.
        folder: the new folder.
        scratch: folder for intermediate files.
        samples: samples of each modality.
        backend, precision: those of all graphs.
        fold: whether adapters become part of the graphs.
    """

    source: Binder
    folder: Path
    scratch: Path
    samples: ExportSamples
    backend: Runtime
    precision: Precision
    fold: bool

    def write(self, modality: str) -> WrittenGraph:
        """Write the graph of a modality by the first recipe that passes the gate, else by the most accurate one.

        Raises:
            UnsupportedBackend: the encoder cannot be exported.
        """
        plan, adapters = self.source.encoder(modality).plan_export(), self._get_folded(modality)
        folder = self.folder / modality
        folder.mkdir()
        for name, content in plan.files.items():
            (folder / name).write_bytes(content)
        input = export.create_input(plan.encoder, plan.options, folder)
        traced = self.scratch / f"{modality}.onnx"
        if not traced.exists():  # a folder may be shared by exports of several precisions
            graphs.trace_graph(plan, adapters, self._collate(input, modality, N_TRACED)[0], traced)
        tried: dict[str, WrittenGraph] = {}
        for recipe in graphs.RECIPES if self.precision == "int8" else ("",):
            with contextlib.suppress(graphs.UnsuitableRecipe):
                tried[recipe] = self._write_recipe(modality, traced, input, recipe)
                if not tried[recipe].gate.missed:
                    return tried[recipe]
        best = max(tried, key=lambda recipe: tried[recipe].gate.min_cosine)
        return tried[best] if best == list(tried)[-1] else self._write_recipe(modality, traced, input, best)

    def describe(self, modality: str, written: WrittenGraph) -> ExportedPart:
        """Describe a written encoder for the card, with its speed."""
        encoder, folder = self.source.encoder(modality), self.folder / modality
        plan, hashes = encoder.plan_export(), hash_files(folder)
        identity = "+".join([encoder.identity, *(each.identity for each in self._get_folded(modality))])
        digest = hashlib.sha256("".join(hashes.values()).encode()).hexdigest()[:12]
        lossy = self.precision != "fp32" or bool(written.gate.missed)
        return ExportedPart(
            encoder=self.source.binding.encoders[modality].name,
            input=plan.encoder,
            options=dict(plan.options),
            space=written.exported.space,
            preprocessing=dict(encoder.preprocessing),
            weights_hash=encoder.weights_hash,
            source=identity,
            identity=f"{identity}~{self.backend}-{self.precision}-{digest}" if lossy else identity,
            licence=self._find_licence(modality),
            recipe=written.recipe,
            gate=written.gate,
            speed=gate.measure_speed(encoder, written.exported, self.samples.items[modality]),
            files=hashes,
            logit_scale=encoder.logit_scale,
        )

    def make_card(self, parts: Mapping[str, ExportedPart]) -> ExportCard:
        """Make the card of the folder; files of adapters that were not folded in are copied into it."""
        adapters = () if self.fold else tuple(self._copy_adapters(parts))
        files = hash_files(self.folder / ADAPTERS) if (self.folder / ADAPTERS).is_dir() else {}
        return ExportCard(
            binding=self.source.name,
            space=self.source.space(next(iter(parts))).name,
            backend=self.backend,
            precision=self.precision,
            processor=describe_processor(),
            threads=torch.get_num_threads(),
            encoders=parts,
            adapters=adapters,
            files=files,
        )

    def _get_folded(self, modality: str) -> list[Adapter]:
        return self.source.route(modality) if self.fold else []

    def _collate(self, input: export.EncoderInput, modality: str, number: int) -> list[dict[str, np.ndarray]]:
        """Collate the first samples to batches of 32."""
        prepared = gate.preprocess_samples(input, self.samples.items[modality][:number])
        size = gate.BATCH_SIZE
        return [input.collate(prepared[i : i + size]) for i in range(0, len(prepared), size)]

    def _write_recipe(self, modality: str, traced: Path, input: export.EncoderInput, recipe: str) -> WrittenGraph:
        encoder, adapters, start = self.source.encoder(modality), self._get_folded(modality), traced
        if recipe:
            start = self.scratch / f"{modality}-{recipe}.onnx"
            graphs.quantize(traced, start, recipe, self._collate(input, modality, N_CALIBRATION))
        path = get_graph_path(self.folder, modality, self.backend)
        graphs.write_backend_graph(start, path, self.backend, self.precision)
        exported = GraphEncoder(
            path,
            input,
            modality=modality,
            space=adapters[-1].target if adapters else encoder.space,
            single=recipe == "dynamic",
            preprocessing=encoder.preprocessing,
            runtime=self.backend,
        )
        items = self.samples.items[modality]
        expected = gate.encode_samples(encoder, items, adapters)
        actual = gate.encode_samples(exported, items)
        unchanged = self._compare_answers(modality, expected, actual, exported) if self.precision == "int8" else None
        synthetic = modality in self.samples.synthetic
        return WrittenGraph(exported, recipe, gate.compare(expected, actual, self.precision, synthetic, unchanged))

    def _compare_answers(
        self, modality: str, expected: np.ndarray, actual: np.ndarray, exported: GraphEncoder
    ) -> float | None:
        """Return the fraction of unchanged zero-shot answers; None without texts, or without anything to classify."""
        if "text" not in self.source.modalities:
            return None
        remaining = [] if self.fold else self.source.route(modality)
        names = self._embed_names(self.source.encoder("text"), self.source.route("text"))
        if modality != "text":
            return gate.compare_answers(
                gate.adapt(expected, remaining) @ names.T, gate.adapt(actual, remaining) @ names.T
            )
        others = [name for name in self.samples.items if name != "text"]
        if not others:
            return None
        queries = gate.encode_samples(
            self.source.encoder(others[0]), self.samples.items[others[0]], self.source.route(others[0])
        )
        return gate.compare_answers(queries @ names.T, queries @ self._embed_names(exported, remaining).T)

    def _embed_names(self, encoder: Encoder, adapters: Sequence[Adapter]) -> np.ndarray:
        """Embed class names in the common space, (names, d)."""
        templates = encoder.prompt_templates or prompts.DEFAULT_TEMPLATES
        texts = [prompts.format_prompts(templates[0], name)[0] for name in CLASS_NAMES]
        return normalize(gate.encode_samples(encoder, texts, adapters))

    def _copy_adapters(self, modalities: Mapping[str, object]) -> list[Mapping[str, object]]:
        """Copy the files of the adapters that the modalities need; return the adapters' names and options."""
        needed = {adapter.identity for modality in modalities for adapter in self.source.route(modality)}
        copied = []
        for number, (use, adapter) in enumerate(zip(self.source.binding.adapters, self.source.adapters, strict=True)):
            if adapter.identity not in needed:
                continue
            options = dict(use.options)
            for name, value in options.items():
                if isinstance(value, str | os.PathLike) and Path(value).is_file():
                    (self.folder / ADAPTERS).mkdir(exist_ok=True)
                    target = self.folder / ADAPTERS / f"{number}-{Path(value).name}"
                    shutil.copyfile(value, target)
                    options[name] = f"./{target.name}"
            copied.append({"name": use.name, "options": options})
        return copied

    def _find_licence(self, modality: str) -> str:
        """Return the licence of the weights, as the encoder or its binding states it."""
        name = self.source.name.partition(":")[0]
        stated = [part.spec.weights_licence for part in list_parts(BindingSpec) if part.name == name]
        own = find_part(EncoderSpec, self.source.binding.encoders[modality].name).spec.weights_licence
        return (stated[0] if stated and stated[0] else own) or "not stated"
