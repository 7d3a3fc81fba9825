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
from anybind_train.class_words import Words, words_of
from anybind_train.data import Sources, TrainingSet, epoch_order
from anybind_train.devices import make_fabric
from anybind_train.loss import TrainingBatch
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.optimise import learning_rate, make_optimiser
from anybind_train.probe import ask_probe, probe_of, source_key
from anybind_train.prompts import PromptedText, PromptStudent
from anybind_train.recipe import Recipe
from anybind_train.records import Records, RunRecord, draw
from anybind_train.state import Place, check_finite, load_state, save_state
from anybind_train.student import Average, StudentModule, merged_lora, student_binder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATE, LAST, BEST = "state.safetensors", "last.safetensors", "best.safetensors"


class Run:
    """One training run in one folder. `Run(...).go()` does it."""

    def __init__(
        self,
        recipe: Recipe,
        sources: Sources,
        output: Path,
        *,
        binding: Binding | None = None,
        cache: Path | None = None,
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
        self.binder = student_binder(recipe, str(self.fabric.device), binding)
        tower = self.binder.encoder(recipe.modality)
        assert isinstance(tower, TorchEncoder)  # as the student's binder checks
        self.tower = tower
        taught_by = self.binder.encoder(recipe.teacher) if recipe.teacher else None
        # The binding's tower takes over what is learned, and the teacher stays as it was.
        self.frozen = tower.copy() if taught_by is tower else taught_by
        self.data = TrainingSet(recipe, self.binder, sources, tower)
        self.probe = probe_of(recipe, sources, {source_key(pair.item) for pair in self.data.pairs})
        self._prepare_folder(resume)
        check_spaces(self.binder, recipe, self.losses)
        self.words = words_of(self.binder, recipe, self.losses, self.data.classes, self.fabric.device)
        self.student = self._student()
        self.average = Average(self.student.module, recipe.student.average)
        self.optimiser = make_optimiser(recipe.optimiser, self.student)
        self.place = Place(recipe.hash, self.data.hash, probes=[])
        if resume:
            self.place = load_state(output / STATE, self.place, self.student.module, self.optimiser, self.average)
        self.cache, self.batches = cache or output / "cache", len(self.data) // recipe.batch_size
        if self.fabric.is_global_zero:  # one process computes what all of them read
            self.data.teacher_vectors(self.cache, store) if cache_teacher else None
            self.data.inputs(self.cache)
        self.fabric.barrier()
        self.teacher = self.data.teacher_vectors(self.cache, store) if cache_teacher else None
        self.inputs = self.data.inputs(self.cache)
        self.steps = recipe.epochs * self.batches

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
        if self._writes:
            for left in [*self.output.rglob(".anybind-*"), *self.output.glob(".tmp*")]:
                left.unlink(missing_ok=True)  # what a killed run was writing, under our name or safetensors' own

    def _student(self) -> StudentModule | PromptStudent:
        if self.recipe.student.method != "prompts":
            return StudentModule(self.tower.copy(), self.recipe.student)
        prompted = self.binder.encoder("text")
        assert isinstance(prompted, PromptedText)
        return PromptStudent(self.tower, prompted, self.data.classes)

    def go(self) -> RunRecord:
        """Train to the end, and give the summary that `result.json` holds.

        Raises:
            BadInput: the loss is no number (the last good state is kept), or the disk is full.
        """
        module, optimiser = self.fabric.setup(self.student, self.optimiser)
        done = self.place.epoch * self.batches + self.place.batch
        records = Records(self.output, done) if self._writes else None
        try:
            with progress_bar(self.steps, self.recipe.name) as advance:
                advance(done)
                if done == 0:
                    self._ask(0, records)
                for epoch in range(self.place.epoch, self.recipe.epochs):
                    self.train_epoch(epoch, module, optimiser, records, advance)
                    self.place.epoch, self.place.batch = epoch + 1, 0
                    self._ask(epoch + 1, records)
                    self._keep_state()
        finally:
            if records is not None:
                records.close()
        return self._finish()

    @property
    def _writes(self) -> bool:
        return self.fabric.is_global_zero

    def train_epoch(
        self,
        epoch: int,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        records: Records | None,
        advance: Callable[..., None],
    ) -> None:
        """The steps of one epoch from `place.batch` on; `advance` is told of each."""
        for batch, (numbers, inputs) in self._batches(epoch, self.place.batch):
            step = epoch * self.batches + batch
            started = time.perf_counter()
            rate = learning_rate(self.recipe.optimiser, step, self.steps, self.batches)
            values = self.step(module, optimiser, numbers, inputs, epoch, step, rate)
            self.average.update(step)
            if records is not None:
                seconds = round(time.perf_counter() - started, 4)
                records.write("step", step, epoch=epoch, lr=rate, seconds=seconds, **values)
            probed = f", probe {self.place.probes[-1][self.metric]:.3f}" if self.place.probes else ""
            advance(1, f"epoch {epoch + 1}, loss {values['loss']:.4f}{probed}")
            self.place.batch = batch + 1
            if (step + 1) % self.recipe.checkpoint_steps == 0 and batch + 1 < self.batches:
                self._keep_state()

    def step(
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
        batches = self._views(module(inputs), numbers, epoch % self.recipe.variants)
        values = self.losses.values(batches)
        total = self.losses.total(values)
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
        ids = ", ".join(self.data.pairs[number].item.id for number in numbers[:3])
        state = self.output / STATE
        kept = f"{state} is the last good state" if state.is_file() else "no state was kept yet"
        raise BadInput(
            f"the {what} is {value} at epoch {epoch}, batch {step - epoch * self.batches} ({ids}, ...);"
            f" {kept}: lower optimiser.lr, or set optimiser.clip"
        )

    def _batches(self, epoch: int, first: int) -> Iterator[tuple[int, tuple[np.ndarray, object]]]:
        """Batch numbers, the items of the whole batch, and this process's share of their inputs, ready to run."""
        size, world = self.recipe.batch_size, self.fabric.world_size
        order = epoch_order(len(self.data), self.recipe.seed, epoch)
        own = slice(self.fabric.global_rank * size // world, (self.fabric.global_rank + 1) * size // world)
        chosen = [order[batch * size : (batch + 1) * size] for batch in range(first, self.batches)]
        flat = [int(number) for numbers in chosen for number in numbers[own]]
        ready: list[torch.Tensor] = []
        coming = iter(chosen)
        for prepared in prefetch(lambda number: self._input(number, epoch), flat, queue_size=3 * size // world):
            ready.append(prepared)
            if len(ready) == size // world:
                yield first, (next(coming), self.tower.collate(ready))
                first, ready = first + 1, []

    def _input(self, number: int, epoch: int) -> torch.Tensor:
        version = epoch % self.recipe.variants
        if self.inputs is not None:
            return torch.from_numpy(self.inputs[version, number].astype(np.float32))
        data = self.data
        return data.told(number, lambda: data.student_input(data.source(number, version), number, version, epoch))

    def _views(self, vectors: torch.Tensor, numbers: np.ndarray, version: int) -> dict[str, TrainingBatch]:
        """The whole batch, of all processes, in the student's own space and in the common one."""
        gathered = self.fabric.all_gather(vectors, sync_grads=True) if self.fabric.world_size > 1 else vectors
        own = torch.as_tensor(gathered).reshape(-1, vectors.shape[-1])
        labels = self.data.labels[torch.from_numpy(numbers)].to(own.device)
        teacher = taught = self._teacher(numbers, version)
        if teacher is not None:
            with torch.no_grad():
                taught = Words(None, self.binder.route(self.recipe.teacher)).carry(teacher)
        words = self.words
        texts = words.texts if self.student.texts is None else self.student.texts
        return {
            "own": TrainingBatch(own, teacher, None if words.route else texts, labels),
            "common": TrainingBatch(words.carry(own), taught, texts, labels),
        }

    def _teacher(self, numbers: np.ndarray, version: int) -> torch.Tensor | None:
        if not self.recipe.teacher:
            return None
        if self.teacher is not None:
            return torch.from_numpy(self.teacher[version, numbers]).to(self.fabric.device)
        assert self.frozen is not None
        prepared = [self.data.shown_to_teacher(int(number), version) for number in numbers]
        return torch.from_numpy(self.frozen.encode(prepared)).to(self.fabric.device)

    @property
    def metric(self) -> str:
        """The probe's metric that picks the best epoch."""
        return self.probe.metric if self.probe else ""

    def _ask(self, epoch: int, records: Records | None) -> None:
        """Publish the weights to the binding's tower, ask the probe, keep the best and the last."""
        check_finite(self.student.module.state_dict(), self.place, self.output / STATE)
        if not self._writes:
            return
        self._publish()
        plan = self.recipe.probe
        if self.probe is not None and plan is not None and (epoch % plan.every == 0 or epoch == self.recipe.epochs):
            metrics = ask_probe(self.probe, self.binder, self.recipe)
            assert self.place.probes is not None
            self.place.probes.append({"epoch": epoch, **metrics})
            if records is not None:
                records.write("probe", epoch * self.batches - 1, epoch=epoch, **metrics)
            if epoch and (self.place.best is None or metrics[self.metric] > self.place.best):
                self.place.best = metrics[self.metric]
                self._learned.save_weights(self.output / BEST)
        if epoch:
            self._learned.save_weights(self.output / LAST)

    @property
    def _learned(self) -> TorchEncoder:
        """The binding's tower that has what was learned."""
        return self.student.prompted if isinstance(self.student, PromptStudent) else self.tower

    def _publish(self) -> None:
        self.average.swap()
        try:
            learned = self.student.tower
            if learned is self.tower:
                return
            if self.recipe.student.method == "lora":
                learned = merged_lora(learned)
            self.tower.module.load_state_dict(learned.module.state_dict())
        finally:
            self.average.swap()

    def _keep_state(self) -> None:
        if self._writes:
            save_state(self.output / STATE, self.place, self.student.module, self.optimiser, self.average)
        self.fabric.barrier()

    def _finish(self) -> RunRecord:
        self._publish()  # a run that was resumed behind its last step has published nothing yet
        result: RunRecord = {
            "recipe": self.recipe.name,
            "recipe_hash": self.recipe.hash,
            "data_hash": self.data.hash,
            "samples": len(self.data),
            "classes": len(self.data.classes),
            "epochs": self.recipe.epochs,
            "steps": self.steps,
            "weights": str(self.output / LAST),
            "encoder": self._learned.identity if self._writes else "",
            "probes": self.place.probes or [],
        }
        if self._writes:
            with files.atomic_path(self.output / "result.json") as temporary:
                temporary.write_text(json.dumps(result, indent=1))
            with contextlib.closing(Records(self.output, self.steps)) as lines:
                draw(lines.read(), self.output / "training.png", self.recipe.name, self.metric)
        self.fabric.barrier()
        return result
