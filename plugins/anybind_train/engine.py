"""The run: a student learns from frozen teachers and words, batch by batch, and can go on where it was killed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from anybind import Binding, EmbeddingStore
from anybind.plugin import BadInput, BadOption, TorchEncoder, files, prefetch, progress_bar
from anybind_train.checks import check_batch, check_spaces
from anybind_train.class_texts import ClassTexts, embed_class_texts
from anybind_train.data import Sources, TrainingSet, shuffle_epoch
from anybind_train.devices import make_fabric
from anybind_train.loss import TrainingBatch
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.metrics_log import MetricsLog, RunRecord, draw_curves
from anybind_train.optimise import compute_learning_rate, make_optimiser
from anybind_train.probe import build_probe, get_source_key, run_probe
from anybind_train.prompts import PromptedText, PromptStudent
from anybind_train.recipe import Recipe
from anybind_train.state import Progress, check_finite, load_state, save_state
from anybind_train.student import StudentModule, WeightAverage, load_student_binder, merge_lora

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATE, LAST, BEST = "state.safetensors", "last.safetensors", "best.safetensors"


class TrainingRun:
    """One training run in one folder. `Run(...).go()` does it."""

    def __init__(
        self,
        recipe: Recipe,
        sources: Sources,
        output: Path,
        *,
        binding: Binding | None = None,
        teacher_cache: Path | None = None,
        fabric: Fabric | None = None,
        store: EmbeddingStore | None = None,
        resume: bool = False,
        cache_teacher: bool = True,
    ) -> None:
        """Check everything that can be checked before the first step.

        Args:
            recipe: what to do.
            sources: the data folder that the recipe's paths lie below, or data sets that are made already.
            output: the run's folder, made if it is not there: weights, state, metrics, picture.
            binding: the recipe's binding itself, where it cannot be found by its name.
            cache: where teacher vectors and prepared inputs are kept; `output/cache` by default.
            store: where the teacher's embeddings are looked up and stored. [default: nowhere]
            fabric: where it runs; one process on the CPU by default. On several, every process makes a `Run`.
            resume: go on from the state in `output`.
            cache_teacher: compute the teacher's vectors once; False computes them at every step.

        Raises:
            BadInput, BadOption, UnknownName, SpaceMismatch: something in the recipe or the data does not fit.
        """
        self.recipe, self.output, self.fabric = recipe, output, fabric or make_fabric(recipe.precision, "cpu")
        self.losses = WeightedSum.from_recipe(recipe.losses)
        check_batch(recipe, self.losses, self.fabric.world_size)
        torch.manual_seed(recipe.seed)
        self.binder = load_student_binder(recipe, str(self.fabric.device), binding)
        tower = self.binder.encoder(recipe.modality)
        assert isinstance(tower, TorchEncoder)  # as the student's binder checks
        self.encoder = tower
        taught_by = self.binder.encoder(recipe.teacher) if recipe.teacher else None
        # The binding's tower takes over what is learned, and the teacher stays as it was.
        self.teacher_encoder = tower.copy() if taught_by is tower else taught_by
        self.data = TrainingSet(recipe, self.binder, sources, tower)
        self.probe = build_probe(recipe, sources, {get_source_key(pair.item) for pair in self.data.items})
        self._prepare_folder(resume)
        check_spaces(self.binder, recipe, self.losses)
        self.class_texts = embed_class_texts(self.binder, recipe, self.losses, self.data.classes, self.fabric.device)
        self.student = self._build_student()
        self.weight_average = WeightAverage(self.student.module, recipe.student.ema_decay)
        self.optimiser = make_optimiser(recipe.optimiser, self.student)
        self.progress = Progress(recipe.hash, self.data.hash, probes=[])
        if resume:
            self.progress = load_state(
                output / STATE, self.progress, self.student.module, self.optimiser, self.weight_average
            )
        self.teacher_cache, self.steps_per_epoch = (
            teacher_cache or output / "cache",
            len(self.data) // recipe.batch_size,
        )
        if self.fabric.is_global_zero:  # one process computes what all of them read
            self.data.compute_teacher_embeddings(self.teacher_cache, store) if cache_teacher else None
            self.data.prepare_inputs(self.teacher_cache)
        self.fabric.barrier()
        self.teacher_embeddings = (
            self.data.compute_teacher_embeddings(self.teacher_cache, store) if cache_teacher else None
        )
        self.inputs = self.data.prepare_inputs(self.teacher_cache)
        self.steps = recipe.epochs * self.steps_per_epoch

    def _prepare_folder(self, resume: bool) -> None:
        there = (self.output / STATE).is_file()
        if resume and not there:
            raise BadInput(f"{self.output} holds no run to go on with ({STATE} is missing)")
        if there and not resume:
            raise BadOption(f"{self.output} holds a run already: go on with it by --resume, or choose another folder")
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot make the folder {self.output}: {error.strerror}") from error
        if self._is_main_process:
            for left in [*self.output.rglob(".anybind-*"), *self.output.glob(".tmp*")]:
                left.unlink(missing_ok=True)  # what a killed run was writing, under our name or safetensors' own

    def _build_student(self) -> StudentModule | PromptStudent:
        if self.recipe.student.method != "prompts":
            return StudentModule(self.encoder.copy(), self.recipe.student)
        prompted = self.binder.encoder("text")
        assert isinstance(prompted, PromptedText)
        return PromptStudent(self.encoder, prompted, self.data.classes)

    def execute(self) -> RunRecord:
        """Train to the end, and give the summary that `result.json` holds.

        Raises:
            BadInput: the loss is no number (the last good state is kept), or the disk is full.
        """
        module, optimiser = self.fabric.setup(self.student, self.optimiser)
        done = self.progress.epoch * self.steps_per_epoch + self.progress.batch
        records = MetricsLog(self.output, done) if self._is_main_process else None
        try:
            with progress_bar(self.steps, self.recipe.name) as advance:
                advance(done)
                if done == 0:
                    self._end_epoch(0, records)
                for epoch in range(self.progress.epoch, self.recipe.epochs):
                    self.train_epoch(epoch, module, optimiser, records, advance)
                    self.progress.epoch, self.progress.batch = epoch + 1, 0
                    self._end_epoch(epoch + 1, records)
                    self._save_state()
        finally:
            if records is not None:
                records.close()
        return self._write_result()

    @property
    def _is_main_process(self) -> bool:
        return self.fabric.is_global_zero

    def train_epoch(
        self,
        epoch: int,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        records: MetricsLog | None,
        advance: Callable[..., None],
    ) -> None:
        """The steps of one epoch from `place.batch` on; `advance` is told of each."""
        for batch, (numbers, inputs) in self._iterate_batches(epoch, self.progress.batch):
            step = epoch * self.steps_per_epoch + batch
            started = time.perf_counter()
            rate = compute_learning_rate(self.recipe.optimiser, step, self.steps, self.steps_per_epoch)
            values = self.train_step(module, optimiser, numbers, inputs, epoch, step, rate)
            self.weight_average.update(step)
            if records is not None:
                seconds = round(time.perf_counter() - started, 4)
                records.write("step", step, epoch=epoch, lr=rate, seconds=seconds, **values)
            probed = f", probe {self.progress.probes[-1][self.metric]:.3f}" if self.progress.probes else ""
            advance(1, f"epoch {epoch + 1}, loss {values['loss']:.4f}{probed}")
            self.progress.batch = batch + 1
            if (step + 1) % self.recipe.checkpoint_steps == 0 and batch + 1 < self.steps_per_epoch:
                self._save_state()

    def train_step(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        numbers: np.ndarray,
        inputs: object,
        epoch: int,
        step: int,
        rate: float,
    ) -> dict[str, float]:
        """One step of the optimiser; gives each loss, not weighted, and `loss`, their weighted sum."""
        # Whatever a layer draws depends on the step alone, so that a resumed run draws the same.
        torch.manual_seed((self.recipe.seed << 32) + step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        module.train()
        optimiser.zero_grad(set_to_none=True)
        batches = self._build_batches(module(inputs), numbers, epoch % self.recipe.variants)
        values = self.losses.compute_terms(batches)
        total = self.losses.sum_terms(values)
        told = {"loss": float(total.detach())} | {name: float(value.detach()) for name, value in values.items()}
        self._check_finite("loss", told["loss"], numbers, epoch, step)
        self.fabric.backward(total)
        if largest := self.recipe.optimiser.clip:
            norm = self.fabric.clip_gradients(module, optimiser, max_norm=largest, error_if_nonfinite=False)
            self._check_finite("gradient's norm", float(norm), numbers, epoch, step)  # pyright: ignore[reportArgumentType]
        optimiser.step()
        return told

    def _check_finite(self, what: str, value: float, numbers: np.ndarray, epoch: int, step: int) -> None:
        if np.isfinite(value):
            return
        ids = ", ".join(self.data.items[number].item.id for number in numbers[:3])
        state = self.output / STATE
        kept = f"{state} is the last good state" if state.is_file() else "no state was kept yet"
        raise BadInput(
            f"the {what} is {value} at epoch {epoch}, batch {step - epoch * self.steps_per_epoch} ({ids}, ...);"
            f" {kept}: lower optimiser.lr, or set optimiser.clip"
        )

    def _iterate_batches(self, epoch: int, first: int) -> Iterator[tuple[int, tuple[np.ndarray, object]]]:
        """Batch numbers, the items of the whole batch, and this process's share of their inputs, ready to run."""
        size, world = self.recipe.batch_size, self.fabric.world_size
        order = shuffle_epoch(len(self.data), self.recipe.seed, epoch)
        own = slice(self.fabric.global_rank * size // world, (self.fabric.global_rank + 1) * size // world)
        chosen = [order[batch * size : (batch + 1) * size] for batch in range(first, self.steps_per_epoch)]
        flat = [int(number) for numbers in chosen for number in numbers[own]]
        ready: list[torch.Tensor] = []
        coming = iter(chosen)
        for prepared in prefetch(lambda number: self._prepare_input(number, epoch), flat, queue_size=3 * size // world):
            ready.append(prepared)
            if len(ready) == size // world:
                yield first, (next(coming), self.encoder.collate(ready))
                first, ready = first + 1, []

    def _prepare_input(self, number: int, epoch: int) -> torch.Tensor:
        version = epoch % self.recipe.variants
        if self.inputs is not None:
            return torch.from_numpy(self.inputs[version, number].astype(np.float32))
        data = self.data
        return data.call_for_item(
            number, lambda: data.prepare_student_input(data.read_source(number, version), number, version, epoch)
        )

    def _build_batches(self, vectors: torch.Tensor, numbers: np.ndarray, version: int) -> dict[str, TrainingBatch]:
        """The whole batch, of all processes, in the student's own space and in the common one."""
        gathered = self.fabric.all_gather(vectors, sync_grads=True) if self.fabric.world_size > 1 else vectors
        own = torch.as_tensor(gathered).reshape(-1, vectors.shape[-1])
        labels = self.data.labels[torch.from_numpy(numbers)].to(own.device)
        teacher = taught = self._get_teacher_batch(numbers, version)
        if teacher is not None:
            with torch.no_grad():
                taught = ClassTexts(None, self.binder.route(self.recipe.teacher)).map_to_common(teacher)
        words = self.class_texts
        texts = words.embeddings if self.student.texts is None else self.student.texts
        return {
            "own": TrainingBatch(own, teacher, None if words.route else texts, labels),
            "common": TrainingBatch(words.map_to_common(own), taught, texts, labels),
        }

    def _get_teacher_batch(self, numbers: np.ndarray, version: int) -> torch.Tensor | None:
        if not self.recipe.teacher:
            return None
        if self.teacher_embeddings is not None:
            return torch.from_numpy(self.teacher_embeddings[version, numbers]).to(self.fabric.device)
        assert self.teacher_encoder is not None
        prepared = [self.data.load_teacher_input(int(number), version) for number in numbers]
        return torch.from_numpy(self.teacher_encoder.encode(prepared)).to(self.fabric.device)

    @property
    def metric(self) -> str:
        """The probe's metric that picks the best epoch."""
        return self.probe.metric if self.probe else ""

    def _end_epoch(self, epoch: int, records: MetricsLog | None) -> None:
        """Publish the weights to the binding's tower, ask the probe, keep the best and the last."""
        check_finite(self.student.module.state_dict(), self.progress, self.output / STATE)
        if not self._is_main_process:
            return
        self._publish_weights()
        plan = self.recipe.probe
        if self.probe is not None and plan is not None and (epoch % plan.every == 0 or epoch == self.recipe.epochs):
            metrics = run_probe(self.probe, self.binder, self.recipe)
            assert self.progress.probes is not None
            self.progress.probes.append({"epoch": epoch, **metrics})
            if records is not None:
                records.write("probe", epoch * self.steps_per_epoch - 1, epoch=epoch, **metrics)
            if epoch and (self.progress.best is None or metrics[self.metric] > self.progress.best):
                self.progress.best = metrics[self.metric]
                self._trained_encoder.save_weights(self.output / BEST)
        if epoch:
            self._trained_encoder.save_weights(self.output / LAST)

    @property
    def _trained_encoder(self) -> TorchEncoder:
        """The binding's tower that has what was learned."""
        return self.student.prompted if isinstance(self.student, PromptStudent) else self.encoder

    def _publish_weights(self) -> None:
        self.weight_average.swap()
        try:
            learned = self.student.encoder
            if learned is self.encoder:
                return
            if self.recipe.student.method == "lora":
                learned = merge_lora(learned)
            self.encoder.module.load_state_dict(learned.module.state_dict())
        finally:
            self.weight_average.swap()

    def _save_state(self) -> None:
        if self._is_main_process:
            save_state(self.output / STATE, self.progress, self.student.module, self.optimiser, self.weight_average)
        self.fabric.barrier()

    def _write_result(self) -> RunRecord:
        self._publish_weights()  # a run that was resumed behind its last step has published nothing yet
        result: RunRecord = {
            "recipe": self.recipe.name,
            "recipe_hash": self.recipe.hash,
            "data_hash": self.data.hash,
            "samples": len(self.data),
            "classes": len(self.data.classes),
            "epochs": self.recipe.epochs,
            "steps": self.steps,
            "weights": str(self.output / LAST),
            "encoder": self._trained_encoder.identity if self._is_main_process else "",
            "probes": self.progress.probes or [],
        }
        if self._is_main_process:
            with files.atomic_path(self.output / "result.json") as temporary:
                temporary.write_text(json.dumps(result, indent=1))
            with contextlib.closing(MetricsLog(self.output, self.steps)) as lines:
                draw_curves(lines.read_lines(), self.output / "training.png", self.recipe.name, self.metric)
        self.fabric.barrier()
        return result
