"""The student: trainable parameters, frozen layers, LoRA, and the weight average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import anybind
from anybind import Space
from anybind.errors import BadOption
from anybind.torch_encoder import TorchEncoder
from anybind_train.recipe import StudentConfig
from anybind_train.student import (
    StudentModule,
    WeightAverage,
    add_lora,
    load_student_binder,
    merge_lora,
    select_trained_parameters,
)

EVENT_ENCODER = "event-encoder"
IMAGES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A convolution with layers that differ between training and evaluation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.conv(x)))


class Net(nn.Module):
    """Two blocks and a parameter outside them, as in vision transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(3), Block(4)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)).mean((2, 3)) + self.bias


class Attention(nn.Module):
    """Torch's attention, a grouped convolution and ordinary layers."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 8, 3, groups=8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out_proj = nn.Linear(8, 8)
        self.nested = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.grouped(self.wide(x)).flatten(2).transpose(1, 2)
        return self.nested(self.out_proj(self.attention(x, x, x)[0].mean(1)))


class SmallEncoder(TorchEncoder):
    def __init__(self, module: nn.Module) -> None:
        space = Space("small", 8, "none")
        super().__init__(module, modality="image", space=space, preprocessing={})

    def preprocess(self, sample):
        return sample


def make_student(config: StudentConfig, module: type[nn.Module] = Net) -> StudentModule:
    torch.manual_seed(0)
    return StudentModule(SmallEncoder(module()), config).train()


def list_trained(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def get_statistics(student: StudentModule, block: str) -> torch.Tensor:
    norm = student.module.get_submodule(block).norm
    return torch.cat([norm.running_mean, norm.running_var]).clone()


def has_dropout(student: StudentModule, block: str) -> bool:
    return student.module.get_submodule(block).dropout.training


def test_embeddings_have_single_precision():
    student = make_student(StudentConfig())
    student.module.double()
    vectors = student(IMAGES.double())
    assert vectors.dtype == torch.float32
    assert vectors.requires_grad


def test_frozen_batch_norms_keep_their_statistics_and_train_their_weights():
    student = make_student(StudentConfig())
    before = [get_statistics(student, block) for block in ("first", "second")]
    student(IMAGES).sum().backward()
    assert torch.equal(before[0], get_statistics(student, "first"))
    assert torch.equal(before[1], get_statistics(student, "second"))
    assert student.module.first.norm.weight.grad is not None
    assert has_dropout(student, "first")
    assert has_dropout(student, "second")


def test_batch_statistics_are_updated_in_trained_layers_only():
    student = make_student(StudentConfig(batch_norm="batch", train=("second.",)))
    before = [get_statistics(student, block) for block in ("first", "second")]
    student(IMAGES)
    assert torch.equal(before[0], get_statistics(student, "first"))
    assert not torch.allclose(before[1], get_statistics(student, "second"))


def test_a_frozen_parameter_leaves_trained_layers_in_training_mode():
    student = make_student(StudentConfig(batch_norm="batch", train=("second.",)))
    assert list_trained(student.module) == {
        f"second.{name}" for name in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
    }
    assert student.module.second.training
    assert has_dropout(student, "second")


def test_frozen_layers_have_no_dropout():
    student = make_student(StudentConfig(train=("second.",)))
    assert not has_dropout(student, "first")
    with torch.no_grad():
        once, again = (student.module.first(IMAGES) for _ in range(2))
    assert torch.equal(once, again)


def test_evaluation_mode_is_for_all_modules():
    student = make_student(StudentConfig(batch_norm="batch")).eval()
    assert not any(module.training for module in student.modules())
    assert torch.equal(student(IMAGES), student(IMAGES))


def test_all_parameters_are_trained_by_default():
    net = Net().requires_grad_(False)
    select_trained_parameters(net, StudentConfig())
    assert list_trained(net) == {name for name, _ in net.named_parameters()}


def test_train_selects_parameters_by_prefix():
    net = Net()
    select_trained_parameters(net, StudentConfig(train=("first.conv", "bias")))
    assert list_trained(net) == {"first.conv.weight", "first.conv.bias", "bias"}


def test_an_unknown_prefix_suggests_the_nearest():
    with pytest.raises(BadOption, match=r"student.train: no parameter name begins with 'frist'; did you mean 'first'"):
        select_trained_parameters(Net(), StudentConfig(train=("bias", "frist")))


def test_only_selected_parameters_change(train):
    finished = train("modality=image", "student.options={}", 'student.train=["visual.ln_post","visual.proj"]')
    start = anybind.load(finished.run.recipe.binding).encoder("image").module.state_dict()
    changed = {name for name, value in finished.load_weights().items() if not torch.equal(value, start[name])}
    assert changed == {"visual.ln_post.weight", "visual.ln_post.bias", "visual.proj"}


def test_lora_trains_its_low_rank_layers_only(train, world):
    finished = train("student.method=lora", "student.rank=2")
    student = finished.run.student
    assert all("lora_" in name for name in list_trained(student.module))
    start = anybind.load(world.binding).encoder("event").module.state_dict()
    for name, parameter in student.module.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, start[name.replace(".base_layer", "")])


def test_merged_lora_embeds_like_the_student_and_loads_into_a_plain_encoder(train, world):
    finished = train("student.method=lora", "student.rank=2", "cache_inputs=true")
    inputs = torch.from_numpy(np.asarray(finished.run.inputs[0]).astype(np.float32))
    with torch.no_grad():
        trained = functional.normalize(finished.run.student.eval()(inputs)).numpy()
    plain = load_student_binder(world.parse_recipe(), "cpu").encoder("event")
    untrained = plain.encode(list(inputs))
    plain.load_weights(finished.output / "last.safetensors")
    np.testing.assert_allclose(plain.encode(list(inputs)), trained, atol=1e-5)
    assert np.abs(untrained - trained).max() > 1e-2
    assert finished.load_weights().keys() == plain.module.state_dict().keys()


def test_lora_skips_attention_and_grouped_convolutions():
    net = Attention()
    add_lora(net, StudentConfig(method="lora", rank=2))
    layers = {name.partition(".lora_")[0] for name in list_trained(net)}
    assert layers == {"wide", "out_proj", "nested.0", "nested.1.0"}
    net(IMAGES).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters() if parameter.requires_grad)


def test_lora_selects_layers_by_suffix():
    net = Attention()
    add_lora(net, StudentConfig(method="lora", rank=2, targets=("nested.0", "proj")))
    assert {name.partition(".lora_")[0] for name in list_trained(net)} == {"out_proj", "nested.0"}


def test_lora_without_a_matching_layer_is_rejected():
    with pytest.raises(BadOption, match=r"student.targets: no layer name ends with qkv \(layers: 0, out_proj, wide\)"):
        add_lora(Attention(), StudentConfig(method="lora", targets=("qkv",)))


def test_merging_lora_does_not_change_the_student():
    student = make_student(StudentConfig(method="lora", rank=2), Attention).eval()
    with torch.no_grad():
        for name, parameter in student.module.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        before = student(IMAGES)
        merged = merge_lora(student.encoder)
        assert not any("lora" in name for name, _ in merged.module.named_parameters())
        np.testing.assert_allclose(merged.encode(list(IMAGES)), functional.normalize(before).numpy(), atol=1e-5)
        assert torch.equal(student(IMAGES), before)


def test_the_weight_average_equals_its_equation():
    net = nn.Linear(3, 2)
    average = WeightAverage(net, 0.9)
    expected = {name: value.double().clone() for name, value in net.state_dict().items()}
    for step in range(40):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_()
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    for name, value in average.state.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_swapping_twice_restores_the_weights_bit_exactly():
    net = Net()
    average = WeightAverage(net, 0.5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    average.update(0)
    own = {name: value.clone() for name, value in net.state_dict().items()}
    mean = {name: value.clone() for name, value in average.state.items()}
    average.swap()
    assert all(torch.equal(value, mean[name]) for name, value in net.state_dict().items() if name in mean)
    average.swap()
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(value, mean[name]) for name, value in average.state.items())


def test_a_decay_of_0_keeps_no_copy():
    average = WeightAverage(Net(), 0.0)
    average.update(0)
    average.swap()
    assert average.state == {}


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_an_invalid_decay_is_rejected(decay):
    with pytest.raises(BadOption, match=r"student.ema_decay: expected a number from 0 to below 1"):
        WeightAverage(Net(), decay)


def test_a_binding_without_the_modality_suggests_the_nearest(world):
    with pytest.raises(BadOption, match=r"has no encoder for 'evnt'; did you mean 'event'"):
        load_student_binder(world.parse_recipe("modality=evnt"), "cpu")


def test_training_starts_from_the_weights_of_the_recipe(world, tmp_path):
    encoder = load_student_binder(world.parse_recipe(), "cpu").encoder("event")
    with torch.no_grad():
        encoder.module.visual.proj.mul_(2)
    encoder.save_weights(tmp_path / "start.safetensors")
    started = load_student_binder(
        world.parse_recipe(f"student.weights={tmp_path / 'start.safetensors'}"), "cpu"
    ).encoder("event")
    assert started.weights_hash == encoder.weights_hash


def test_training_starts_without_the_weights_of_the_binding_by_default(world, tmp_path):
    encoder = load_student_binder(world.parse_recipe(), "cpu").encoder("event")
    untrained = encoder.weights_hash
    with torch.no_grad():
        encoder.module.visual.proj.mul_(2)
    weights = tmp_path / "weights.safetensors"
    encoder.save_weights(weights)
    model = world.binding.removeprefix("open_clip:")
    (tmp_path / "binding.toml").write_text(f"""
name = "pretrained"
[encoders.image]
use = "open_clip-image"
model = "{model}"
[encoders.event]
use = "{EVENT_ENCODER}"
image_encoder = "@image"
options = {{ clamp = 2 }}
weights = "{weights}"
""")
    overrides = [f"binding={tmp_path / 'binding.toml'}", 'student.options={"options":{"clamp":2}}']
    assert load_student_binder(world.parse_recipe(*overrides), "cpu").encoder("event").weights_hash == untrained
    for override in (f"student.options.weights={weights}", "student.pretrained=true"):
        student = load_student_binder(world.parse_recipe(*overrides, override), "cpu").encoder("event")
        assert student.weights_hash == encoder.weights_hash
