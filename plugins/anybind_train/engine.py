"""The training engine: fit a student to frozen teacher and text embeddings, batch by batch, with resumable state."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from anybind import Binding, EmbeddingStore, Result
from anybind.plugin import BadInput, BadOption, TorchEncoder, files, loops, ranks
from anybind_train.batch_loader import BatchLoader
from anybind_train.batches import build_batches
from anybind_train.checks import check_losses, check_spaces
from anybind_train.class_texts import ClassTexts, embed_class_texts
from anybind_train.data import Sources, TrainingSet
from anybind_train.devices import make_fabric, tuned_cpu
from anybind_train.loss import TrainingBatch
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.metrics_log import MetricsLog, RunRecord, draw_curves, read_log
from anybind_train.optimise import compute_learning_rate, make_optimiser, scale_learning_rate
from anybind_train.precomputed import compute_teacher_embeddings, prepare_inputs
from anybind_train.probe import build_probe, run_probe
from anybind_train.prompts import JointStudent, PromptStudent, build_student
from anybind_train.recipe import Recipe
from anybind_train.run_files import describe_base, describe_recipe, write_run_files
from anybind_train.state import Progress, check_finite, load_state, save_state
from anybind_train.student import WeightAverage, describe_trained, load_student_binder, merge_lora

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATE, LAST, BEST = "state.safetensors", "last.safetensors", "best.safetensors"


class TrainingRun:
    """A training run in a folder of its own; `TrainingRun(...).execute()` trains to the last epoch."""

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
        """Load encoders and data, and check everything that can be checked before the first step.

        Args:
            recipe: the training recipe.
            sources: the data folder that the recipe's paths are relative to, or datasets by `path`.
            output: the run's folder, created if missing: weights, state, metrics, curves.
            binding: the recipe's binding. [default: found by its name]
            teacher_cache: folder of cached teacher embeddings and student inputs. [default: `output/cache`]
            fabric: device, precision and processes, of which each constructs a run. [default: one process on the CPU]
            store: where the teacher's embeddings are looked up and stored. [default: nowhere]
            resume: continue from the state in `output`.
            cache_teacher: compute teacher embeddings once; if False, recompute them at every step, where an invalid
                sample raises.

        Raises:
            BadInput, BadOption, UnknownName, SpaceMismatch: an invalid recipe, or data that does not fit it.
        """
        self.recipe, self.output, self.fabric = recipe, output, fabric or make_fabric(recipe.precision, "cpu")
        self.state_path = output / STATE
        self.losses = WeightedSum.from_recipe(recipe.losses)
        check_losses(recipe, self.losses, self.fabric.world_size)
        torch.manual_seed(recipe.seed)
        self.binder = load_student_binder(recipe, str(self.fabric.device), binding)
        encoder = self.binder.encoder(recipe.modality)
        assert isinstance(encoder, TorchEncoder)  # `load_student_binder` raises otherwise
        self.encoder = encoder
        teacher = self.binder.encoder(recipe.teacher) if recipe.teacher else None
        # Each epoch's weights are loaded into the binding's encoder: a teacher of the same modality needs a copy.
        self.teacher_encoder = encoder.copy() if teacher is encoder else teacher
        self.data = TrainingSet(recipe, self.binder, sources, encoder)
        self.probe = build_probe(recipe, sources, self.data.source_keys)
        self._prepare_folder(resume)
        check_spaces(self.binder, recipe, self.losses)
        self.class_texts = embed_class_texts(self.binder, recipe, self.losses, self.data.classes, self.fabric.device)
        self.student = build_student(recipe.student, encoder, self.binder, self.data.classes)
        self.weight_average = WeightAverage(self.student.module, recipe.student.ema_decay)
        self.losses.move_parameters(self.fabric.device)
        self._schedule = scale_learning_rate(recipe.optimiser, recipe.batch_size)
        learned = self.losses.parameters
        self.optimiser = make_optimiser(self._schedule, self.student.module, learned.values(), self.teacher_encoder)
        self._stateful = self.student.module, self.optimiser, self.weight_average, learned
        self.progress = Progress(recipe.hash, self.data.hash, probes=[], settings=describe_recipe(recipe))
        if resume:
            self.progress = load_state(self.state_path, self.progress, *self._stateful)
        cache = teacher_cache or output / "cache"
        self.steps_per_epoch = len(self.data) // recipe.batch_size
        self.steps = recipe.epochs * self.steps_per_epoch
        if not self._is_main_process:  # wait until the main process has filled the cache, then read it
            self.fabric.barrier()
        raw = self.losses.needs_raw
        self.teacher_embeddings = (
            compute_teacher_embeddings(self.data, cache, store, raw=raw) if cache_teacher else None
        )
        self.inputs = prepare_inputs(self.data, cache)
        self.batches = BatchLoader(self.data, self.inputs, self.teacher_embeddings, self.fabric)
        if self._is_main_process:
            self.fabric.barrier()

    def _prepare_folder(self, resume: bool) -> None:
        if resume and not self.state_path.is_file():
            raise BadInput(f"{self.output}: no run to resume ({STATE} is missing)")
        if self.state_path.is_file() and not resume:
            raise BadOption(f"{self.output}: contains a run; resume it with --resume, or choose another folder")
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.output}: cannot create the folder ({error.strerror})") from error
        if self._is_main_process:
            files.remove_leftovers(self.output)

    def execute(self) -> RunRecord:
        """Train to the last epoch, and return the summary that `result.json` contains.

        Raises:
            BadInput: the loss is not finite (the last good state is kept), or the disk is full.
        """
        module, optimiser = self.fabric.setup(self.student, self.optimiser)
        start = self.progress.epoch * self.steps_per_epoch + self.progress.batch
        log = MetricsLog(self.output, start) if self._is_main_process else None
        try:
            with tuned_cpu(self.optimiser), loops.progress_bar(self.steps, self.recipe.name) as advance:
                advance(start)
                if start == 0:
                    self._end_epoch(0, log)
                for epoch in range(self.progress.epoch, self.recipe.epochs):
                    self.train_epoch(epoch, module, optimiser, log, advance)
                    self.progress.epoch, self.progress.batch = epoch + 1, 0
                    self._end_epoch(epoch + 1, log)
                    self._save_state(log)
        finally:
            if log is not None:
                log.close()
        return self._write_result()

    @property
    def _is_main_process(self) -> bool:
        return self.fabric.is_global_zero

    def train_epoch(
        self,
        epoch: int,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        log: MetricsLog | None,
        advance: Callable[..., None],
    ) -> None:
        """Run the steps of one epoch from batch `progress.batch`; call `advance` after each."""
        for batch, (numbers, prepared) in self.batches.iterate(epoch, self.progress.batch):
            step, inputs = epoch * self.steps_per_epoch + batch, self.encoder.collate(prepared)
            start = time.perf_counter()
            lr = compute_learning_rate(self._schedule, step, self.steps, self.steps_per_epoch)
            values = self.train_step(module, optimiser, numbers, inputs, epoch, step, lr)
            self.weight_average.update(step)
            if log is not None:
                seconds = round(time.perf_counter() - start, 4)
                log.write("step", step, epoch=epoch, lr=lr, seconds=seconds, **values)
            probes = self.progress.probes
            score = f", probe {probes[-1][self.metric]:.3f}" if probes else ""
            advance(1, f"epoch {epoch + 1}, loss {values['loss']:.4f}{score}")
            self.progress.batch = batch + 1
            if (step + 1) % self.recipe.checkpoint_steps == 0 and batch + 1 < self.steps_per_epoch:
                self._save_state(log)

    def train_step(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        numbers: np.ndarray,
        inputs: object,
        epoch: int,
        step: int,
        lr: float,
    ) -> dict[str, float]:
        """Run one optimiser step; return each unweighted loss, and `loss`, their weighted sum."""
        # The seed of dropout and the like depends on the step alone, so that a resumed run is bit-exact.
        torch.manual_seed((self.recipe.seed << 32) + step)
        for group in optimiser.param_groups:
            group["lr"] = lr
        module.train()
        optimiser.zero_grad(set_to_none=True)
        batches = self._build_batches(module(inputs), numbers, epoch % self.recipe.variants)
        losses = self.losses.compute_terms(batches)
        total = self.losses.sum_terms(losses)
        values = {"loss": float(total.detach())} | {name: float(loss.detach()) for name, loss in losses.items()}
        values |= {name: float(parameter.detach()) for name, parameter in self.losses.parameters.items()}
        self._check_finite("loss", values["loss"], numbers, epoch, step)
        self.fabric.backward(total)
        if max_norm := self.recipe.optimiser.clip:
            norm = self.fabric.clip_gradients(module, optimiser, max_norm=max_norm, error_if_nonfinite=False)
            self._check_finite("gradient norm", float(norm), numbers, epoch, step)  # pyright: ignore[reportArgumentType]
        optimiser.step()
        return values

    def _check_finite(self, quantity: str, value: float, numbers: np.ndarray, epoch: int, step: int) -> None:
        if np.isfinite(value):
            return
        ids = ", ".join(self.data.items[number].item.id for number in numbers[:3])
        saved = f"{self.state_path} is the last good state" if self.state_path.is_file() else "no state was saved yet"
        raise BadInput(
            f"the {quantity} is {value} at epoch {epoch}, batch {step - epoch * self.steps_per_epoch} ({ids}, ...);"
            f" {saved}: lower optimiser.lr, or set optimiser.clip"
        )

    def _build_batches(self, embeddings: torch.Tensor, numbers: np.ndarray, version: int) -> dict[str, TrainingBatch]:
        """Gather the global batch of all processes, in the student's own space and in the common space."""
        distributed = self.fabric.world_size > 1
        gathered = self.fabric.all_gather(embeddings, sync_grads=True) if distributed else embeddings
        rows = torch.as_tensor(gathered).reshape(-1, embeddings.shape[-1])
        teacher = self._get_teacher_batch(numbers, version)
        teacher_texts = ClassTexts(None, self.binder.route(self.recipe.teacher) if self.recipe.teacher else [])
        labels = self.data.labels[torch.from_numpy(numbers)].to(rows.device)
        routes, raw = (self.class_texts, teacher_texts), self.losses.needs_raw
        return build_batches(rows, teacher, labels, *routes, self.student.texts, needs_raw=raw)

    def _get_teacher_batch(self, numbers: np.ndarray, version: int) -> torch.Tensor | None:
        """Return the teacher's embeddings of a batch, of norm 1 unless a loss needs raw ones."""
        if not self.recipe.teacher:
            return None
        if self.teacher_embeddings is not None:
            return torch.from_numpy(self.teacher_embeddings[version, numbers]).to(self.fabric.device)
        encoder = self.teacher_encoder
        assert encoder is not None
        inputs = [self.data.load_teacher_input(int(number), version) for number in numbers]
        if self.losses.needs_raw and isinstance(encoder, TorchEncoder):
            return torch.from_numpy(encoder.encode_raw(inputs)).to(self.fabric.device)
        return torch.from_numpy(encoder.encode(inputs)).to(self.fabric.device)

    @property
    def metric(self) -> str:
        """The probe's metric that selects the best epoch."""
        return self.probe.metric if self.probe else ""

    def _end_epoch(self, epoch: int, log: MetricsLog | None) -> None:
        """Load the weights into the binding's encoder, run the probe, and save the best and the last weights."""
        check_finite(self.student.module.state_dict(), self.progress, self.state_path)
        if not self._is_main_process:
            return
        self._publish_weights()
        config = self.recipe.probe
        if self.probe is not None and config is not None and (epoch % config.every == 0 or epoch == self.recipe.epochs):
            metrics = run_probe(self.probe, self.binder, self.recipe)
            assert self.progress.probes is not None
            self.progress.probes.append({"epoch": epoch, **metrics})
            if log is not None:
                log.write("probe", epoch * self.steps_per_epoch - 1, epoch=epoch, **metrics)
            if epoch and (self.progress.best is None or metrics[self.metric] > self.progress.best):
                self.progress.best = metrics[self.metric]
                self._save_weights(BEST)
        if epoch:
            self._save_weights(LAST)

    def _save_weights(self, name: str) -> None:
        """Save the trained encoder's weights; with `joint`, those of the prompts beside them: `last-text`."""
        path = self.output / name
        self._trained_encoder.save_weights(path)
        if isinstance(self.student, JointStudent):
            self.student.prompted.save_weights(path.with_stem(f"{path.stem}-text"))

    @property
    def _trained_encoder(self) -> TorchEncoder:
        """The binding's encoder whose weights are trained."""
        return self.student.prompted if isinstance(self.student, PromptStudent) else self.encoder

    def _publish_weights(self) -> None:
        self.weight_average.swap()
        try:
            trained = self.student.encoder
            if trained is not self.encoder:
                merged = merge_lora(trained) if self.recipe.student.method == "lora" else trained
                self.encoder.module.load_state_dict(merged.module.state_dict())
        finally:
            self.weight_average.swap()

    def _save_state(self, log: MetricsLog | None) -> None:
        if self.recipe.skip_invalid:
            self._collect_skipped(log)
        if self._is_main_process:
            save_state(self.state_path, self.progress, *self._stateful)
        self.fabric.barrier()

    def _collect_skipped(self, log: MetricsLog | None) -> None:
        """Add the samples that any process has left out to the progress, and log the new ones."""
        step = self.progress.epoch * self.steps_per_epoch + self.progress.batch - 1
        own = self.batches.skipped | (self.probe.invalid.reasons if self.probe else {})
        for reasons in ranks.gather(own):
            for id in sorted(reasons.keys() - self.progress.skipped.keys()):
                self.progress.skipped[id] = reasons[id]
                if log is not None:
                    log.write("skipped", step, id=id, error=reasons[id])

    def _write_result(self) -> RunRecord:
        self._publish_weights()  # a run resumed after its last step has not published its weights yet
        result: RunRecord = {
            "recipe": self.recipe.name,
            "recipe_hash": self.recipe.hash,
            "trained": describe_trained(self.binder, self.recipe, self.metric),
            "data_hash": self.data.hash,
            "samples": len(self.data),
            "classes": len(self.data.classes),
            "epochs": self.recipe.epochs,
            "steps": self.steps,
            "weights": str(self.output / LAST),
            "encoder": self._trained_encoder.identity if self._is_main_process else "",
            "base": describe_base(self.binder, self.recipe),
            "settings": self.progress.settings,
            "probes": self.progress.probes or [],
            "skipped": self.progress.skipped,
            "versions": Result.list_versions(),
        }
        if self._is_main_process:
            write_run_files(self.output, result, self.binder.binding, self.recipe, LAST)
            draw_curves(read_log(self.output), self.output / "training.png", self.recipe.name, self.metric)
        self.fabric.barrier()
        return result
