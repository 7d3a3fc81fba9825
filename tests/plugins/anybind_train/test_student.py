"""The encoder that learns: which weights do, what the others keep, LoRA, and the average of the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import anybind
from anybind import Space
from anybind.errors import BadOption
from anybind.torch_encoder import TorchEncoder
from anybind_train.recipe import Student
from anybind_train.student import Average, StudentModule, add_lora, choose_trained, merged_lora, student_binder

PICTURES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A convolution with all that behaves otherwise in training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.conv(x)))


class Net(nn.Module):
    """Two blocks, and a parameter beside them, as vision transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(3), Block(4)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)).mean((2, 3)) + self.bias


class Attention(nn.Module):
    """torch's attention, a convolution in groups and ordinary layers."""

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


class MadeTower(TorchEncoder):
    def __init__(self, module: nn.Module) -> None:
        space = Space("made", 8, "none")
        super().__init__(module, modality="image", space=space, preprocessing={})

    def preprocess(self, sample):
        return sample


def made(plan: Student, module: type[nn.Module] = Net) -> StudentModule:
    torch.manual_seed(0)
    return StudentModule(MadeTower(module()), plan).train()


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def statistics(student: StudentModule, block: str) -> torch.Tensor:
    norm = student.module.get_submodule(block).norm
    return torch.cat([norm.running_mean, norm.running_var]).clone()


def drops(student: StudentModule, block: str) -> bool:
    return student.module.get_submodule(block).dropout.training


def test_vectors_have_norm_one_and_single_precision():
    student = made(Student())
    student.module.double()
    vectors = student(PICTURES.double())
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(8))
    assert vectors.requires_grad


def test_frozen_batch_norms_keep_their_statistics_though_they_learn():
    student = made(Student())
    before = [statistics(student, block) for block in ("first", "second")]
    student(PICTURES).sum().backward()
    assert torch.equal(before[0], statistics(student, "first"))
    assert torch.equal(before[1], statistics(student, "second"))
    assert student.module.first.norm.weight.grad is not None
    assert drops(student, "first")
    assert drops(student, "second")


def test_batch_norms_of_the_batch_renew_the_statistics_of_layers_that_are_trained():
    student = made(Student(batch_norm="batch", train=("second.",)))
    before = [statistics(student, block) for block in ("first", "second")]
    student(PICTURES)
    assert torch.equal(before[0], statistics(student, "first"))
    assert not torch.allclose(before[1], statistics(student, "second"))


def test_a_frozen_parameter_beside_trained_layers_does_not_put_them_out_of_training():
    student = made(Student(batch_norm="batch", train=("second.",)))
    assert learning(student.module) == {
        f"second.{name}" for name in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
    }
    assert student.module.second.training
    assert drops(student, "second")


def test_what_is_frozen_drops_out_nothing():
    student = made(Student(train=("second.",)))
    assert not drops(student, "first")
    with torch.no_grad():
        once, again = (student.module.first(PICTURES) for _ in range(2))
    assert torch.equal(once, again)


def test_evaluation_is_for_all_parts():
    student = made(Student(batch_norm="batch")).eval()
    assert not any(part.training for part in student.modules())
    assert torch.equal(student(PICTURES), student(PICTURES))


def test_without_names_every_parameter_learns():
    net = Net().requires_grad_(False)
    choose_trained(net, Student())
    assert learning(net) == {name for name, _ in net.named_parameters()}


def test_names_begin_as_the_recipe_says():
    net = Net()
    choose_trained(net, Student(train=("first.conv", "bias")))
    assert learning(net) == {"first.conv.weight", "first.conv.bias", "bias"}


def test_a_beginning_of_no_name_is_answered_with_the_nearest():
    with pytest.raises(BadOption, match=r"student.train: no parameter begins with 'frist'; did you mean 'first'"):
        choose_trained(Net(), Student(train=("bias", "frist")))


def test_only_the_parameters_named_change_in_training(train):
    ran = train("modality=image", "student.options={}", 'student.train=["visual.ln_post","visual.proj"]')
    start = anybind.load(ran.run.recipe.binding).encoder("image").module.state_dict()
    changed = {name for name, value in ran.weights().items() if not torch.equal(value, start[name])}
    assert changed == {"visual.ln_post.weight", "visual.ln_post.bias", "visual.proj"}


def test_lora_trains_its_additions_and_nothing_else(train, world):
    ran = train("student.method=lora", "student.rank=2")
    student = ran.run.student
    assert all("lora_" in name for name in learning(student.module))
    start = anybind.load(world.binding).encoder("event").module.state_dict()
    for name, parameter in student.module.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, start[name.replace(".base_layer", "")])


def test_merged_lora_embeds_as_the_student_does_and_its_file_fits_a_plain_tower(train, world):
    ran = train("student.method=lora", "student.rank=2", "cache_inputs=true")
    inputs = torch.from_numpy(np.asarray(ran.run.inputs[0]).astype(np.float32))
    with torch.no_grad():
        learned = ran.run.student.eval()(inputs).numpy()
    tower = anybind.load(world.binding, device="cpu")
    plain = student_binder(world.plan(), "cpu").encoder("event")
    untrained = plain.encode(list(inputs))
    plain.load_weights(ran.output / "last.safetensors")
    np.testing.assert_allclose(plain.encode(list(inputs)), learned, atol=1e-5)
    assert np.abs(untrained - learned).max() > 1e-2
    assert ran.weights().keys() == tower.encoder("event").module.state_dict().keys()


def test_lora_passes_by_attention_and_convolutions_in_groups():
    net = Attention()
    add_lora(net, Student(method="lora", rank=2))
    layers = {name.partition(".lora_")[0] for name in learning(net)}
    assert layers == {"wide", "out_proj", "nested.0", "nested.1.0"}
    net(PICTURES).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters() if parameter.requires_grad)


def test_lora_adds_to_the_layers_whose_names_end_so():
    net = Attention()
    add_lora(net, Student(method="lora", rank=2, targets=("nested.0", "proj")))
    assert {name.partition(".lora_")[0] for name in learning(net)} == {"out_proj", "nested.0"}


def test_lora_without_a_layer_to_add_to_is_refused():
    with pytest.raises(BadOption, match=r"student.targets: no layer ends in qkv \(there are 0, out_proj, wide\)"):
        add_lora(Attention(), Student(method="lora", targets=("qkv",)))


def test_merging_leaves_the_student_as_it_is():
    student = made(Student(method="lora", rank=2), Attention).eval()
    with torch.no_grad():
        for name, parameter in student.module.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        before = student(PICTURES)
        merged = merged_lora(student.tower)
        assert not any("lora" in name for name, _ in merged.module.named_parameters())
        np.testing.assert_allclose(merged.encode(list(PICTURES)), before.numpy(), atol=1e-5)
        assert torch.equal(student(PICTURES), before)


def test_the_average_is_the_one_of_its_equation():
    net = nn.Linear(3, 2)
    average = Average(net, 0.9)
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


def test_swapping_twice_gives_the_weights_back_to_the_bit():
    net = Net()
    average = Average(net, 0.5)
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


def test_no_average_keeps_no_copy():
    average = Average(Net(), 0.0)
    average.update(0)
    average.swap()
    assert average.state == {}


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_an_average_that_never_moves_or_forgets_is_refused(decay):
    with pytest.raises(BadOption, match=r"student.average must be from 0 to below 1"):
        Average(Net(), decay)


def test_a_binding_without_the_modality_offers_the_nearest(world):
    with pytest.raises(BadOption, match=r"has no encoder for 'evnt'; did you mean 'event'"):
        student_binder(world.plan("modality=evnt"), "cpu")


def test_weights_to_start_from_are_taken_over(world, tmp_path):
    tower = student_binder(world.plan(), "cpu").encoder("event")
    with torch.no_grad():
        tower.module.visual.proj.mul_(2)
    tower.save_weights(tmp_path / "start.safetensors")
    started = student_binder(world.plan(f"student.weights={tmp_path / 'start.safetensors'}"), "cpu").encoder("event")
    assert started.weights_hash == tower.weights_hash


def test_weights_that_a_binding_ships_are_no_start_unless_asked_for(world, tmp_path):
    tower = student_binder(world.plan(), "cpu").encoder("event")
    untrained = tower.weights_hash
    with torch.no_grad():
        tower.module.visual.proj.mul_(2)
    shipped = tmp_path / "shipped.safetensors"
    tower.save_weights(shipped)
    model = world.binding.removeprefix("open_clip:")
    (tmp_path / "binding.toml").write_text(f"""
name = "shipping"
[encoders.image]
use = "open_clip-image"
model = "{model}"
[encoders.event]
use = "event-encoder"
image_encoder = "@image"
options = {{ clamp = 2 }}
weights = "{shipped}"
""")
    changes = [f"binding={tmp_path / 'binding.toml'}", 'student.options={"options":{"clamp":2}}']
    assert student_binder(world.plan(*changes), "cpu").encoder("event").weights_hash == untrained
    asked = student_binder(world.plan(*changes, f"student.options.weights={shipped}"), "cpu").encoder("event")
    assert asked.weights_hash == tower.weights_hash
