"""EventCLIP's few-shot adapters (Wu et al., 2023) as a classification head on the frozen embeddings of views."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from anybind import Binder, Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput, prompts

ADAPTERS = ("joint", "text", "visual")
SCALE = 100.0
"""Factor of cosine similarities if the encoder has none: CLIP's logit scale."""


class ViewAdapter(nn.Module):
    """A transformer over the views of a recording, without an order of the views, added to their embeddings.

        f' = normalise(residual f + (1 - residual) out(transformer(in(f))))

    Pre-norm layers of width `width` with a feed-forward part of 4 `width`.
    """

    def __init__(self, dim: int, *, width: int, heads: int, layers: int, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.inward, self.outward = nn.Linear(dim, width), nn.Linear(width, dim)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Map (n, views, dim) unit vectors to (n, views, dim) unit vectors."""
        adapted = self.outward(self.transformer(self.inward(views)))
        return functional.normalize(self.residual * views + (1 - self.residual) * adapted, dim=-1)


class EventClipAdapters(nn.Module):
    """The class texts, (classes, dim), and the view adapter, each trained or not.

    Logits are the mean over views of `scale` times the cosine similarity to each class text.
    """

    def __init__(self, texts: torch.Tensor, adapter: ViewAdapter | None, scale: float) -> None:
        super().__init__()
        self.texts, self.scale = nn.Parameter(texts), scale
        self.adapter = adapter

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Compute the logits, (n, classes), of (n, views, dim) unit vectors."""
        adapted = views if self.adapter is None else self.adapter(views)
        return self.scale * (adapted @ functional.normalize(self.texts, dim=1).T).mean(1)


class EventClipHead(Head):
    """EventCLIP's text adapter and transformer adapter, trained by cross-entropy on frozen embeddings of views.

    The text adapter are the class texts themselves, learned from their embeddings on; the transformer adapter is
    `ViewAdapter`. The publication calls both together the joint adapter. `prepare` gives the text encoder.
    """

    name = "eventclip"
    predicts = "classification"
    learns = "samples"

    def __init__(
        self,
        *,
        adapter: str = "joint",
        views: int = 2,
        residual: float = 0.8,
        width: int = 256,
        heads: int = 4,
        layers: int = 2,
        template: str = "a sketch image of a {}",
        scale: float | None = None,
        epochs: int = 50,
        lr: float = 1e-4,
        batch_size: int = 32,
        seed: int = 0,
        modality: str = "event",
    ) -> None:
        """Set the options; defaults are those of the published configuration for ViT-B/32.

        Args:
            adapter: `joint`, `text` or `visual`: which adapters are trained.
            views: number of views in an embedding; 1 for an embedding of one view.
            residual: weight of the frozen embedding, 0 to 1; the published ones are 0.5 to 0.8.
            width, heads, layers: of the transformer.
            template: prompt of the class texts, with `{}` in the place of the class name.
            scale: factor of the cosine similarities. [default: the encoder's logit scale, else 100]
            epochs, lr, batch_size: of Adam, with a warm-up of a twentieth of the steps, then a cosine schedule.
            seed: of initial weights and order.
            modality: modality of the embeddings.

        Raises:
            BadOption: an option out of its range.
        """
        if adapter not in ADAPTERS:
            raise BadOption(f"adapter: expected one of {', '.join(ADAPTERS)}, got {adapter!r}")
        for option, value in {"views": views, "width": width, "heads": heads, "layers": layers, "epochs": epochs,
                              "batch_size": batch_size}.items():  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadOption(f"{option}: expected a whole number above 0, got {value!r}")
        if width % heads:
            raise BadOption(f"width: expected a multiple of {heads} heads, got {width}")
        if not 0 <= residual <= 1:
            raise BadOption(f"residual: expected a number from 0 to 1, got {residual!r}")
        if not (lr > 0 and (scale is None or scale > 0)):
            raise BadOption("lr, scale: expected numbers above 0")
        self.adapter, self.views, self.residual, self.scale = adapter, views, float(residual), scale
        self.width, self.heads, self.layers = width, heads, layers
        (self.template,) = prompts.check_templates((template,))
        self.epochs, self.lr, self.batch_size, self.seed = epochs, lr, batch_size, seed
        self._binder: Binder | None = None
        options = {
            "adapter": adapter, "views": views, "residual": self.residual, "width": width, "heads": heads,
            "layers": layers, "template": template, "scale": scale, "epochs": epochs, "lr": lr,
            "batch_size": batch_size, "seed": seed, "modality": modality,
        }  # fmt: skip
        super().__init__(needs=(modality,), settings=options)

    def prepare(self, binder: Binder) -> None:
        self._binder = binder

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        (modality,) = self.needs
        row_labels = labels[inputs.rows[modality]]
        embeddings = inputs.embeddings[modality][row_labels >= 0]
        views, targets = self._split_views(embeddings), torch.from_numpy(row_labels[row_labels >= 0])
        scale = self.scale or embeddings.logit_scale or SCALE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = self._build_module(self._embed_texts(embeddings), scale)
            module.texts.requires_grad_(self.adapter != "visual")
            self._train(module, views, targets)
        state = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
        return {**state, "scale": np.array(scale, np.float32)}

    def _embed_texts(self, embeddings: Embeddings) -> torch.Tensor:
        """Embed the class names, (classes, dim), in the space of one view."""
        if self._binder is None:
            raise BadOption("the head 'eventclip' starts from class texts: call prepare with a binding first")
        texts = prompts.embed_class_names(self._binder, "text", self.classes, (self.template,))
        embeddings.space.require_same(texts.space, "compare events with class texts")
        return self._split_views(texts)[:, 0].contiguous()

    def _split_views(self, embeddings: Embeddings) -> torch.Tensor:
        """Split embeddings into unit vectors, (n, views, dim)."""
        if embeddings.space.dim % self.views:
            raise BadInput(f"expected embeddings of {self.views} views, got {embeddings.space}")
        views = torch.from_numpy(np.array(embeddings.vectors)).reshape(len(embeddings), self.views, -1)
        return functional.normalize(views, dim=-1)

    def _build_module(self, texts: torch.Tensor, scale: float) -> EventClipAdapters:
        if self.adapter == "text":
            return EventClipAdapters(texts, None, scale)
        options = {"width": self.width, "heads": self.heads, "layers": self.layers}
        return EventClipAdapters(texts, ViewAdapter(texts.shape[1], residual=self.residual, **options), scale)

    def _train(self, module: EventClipAdapters, views: torch.Tensor, labels: torch.Tensor) -> None:
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(trained, lr=self.lr)
        steps = self.epochs * math.ceil(len(labels) / self.batch_size)
        warmup = max(1, round(0.05 * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda step: min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / steps))),
        )
        for _ in range(self.epochs):
            for batch in torch.randperm(len(labels)).split(self.batch_size):
                loss = functional.cross_entropy(module(views[batch]), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        rows = inputs.rows[modality]
        module = self._build_module(torch.from_numpy(self.tensors["texts"]), float(self.tensors["scale"]))
        module.load_state_dict({name: torch.from_numpy(each) for name, each in self.tensors.items() if name != "scale"})
        with torch.inference_mode():
            row_logits = module.eval()(self._split_views(inputs.embeddings[modality])).numpy()
        logits = np.zeros((len(inputs), len(self.classes)))
        np.add.at(logits, rows, row_logits)
        return logits / np.maximum(np.bincount(rows, minlength=len(inputs)), 1)[:, None]

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        (modality,) = self.needs
        dim = self.made_for[modality].space.dim // self.views
        module = self._build_module(torch.zeros(len(self.classes), dim), 1.0)
        return {**{name: tuple(each.shape) for name, each in module.state_dict().items()}, "scale": ()}
