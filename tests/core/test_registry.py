"""Finding plugins, and broken ones, with real distributions in separate processes."""

from __future__ import annotations

import json

import pytest

from anybind.errors import BadOption, MissingExtra, PluginError, UnknownName
from anybind.registry import Registry, create_part, find_part, list_parts
from anybind.spec import EncoderSpec, ReaderSpec, Spec, TaskSpec
from helpers.command import install_plugins
from helpers.command import run_anybind as run_anybind_process

GOOD = """
from anybind.plugin import TaskSpec as SomeSpec, hookimpl

anybind_contract = 1

@hookimpl
def register(registry):
    registry.add(SomeSpec(name="{task}", summary="a task", target="{module}:make"))
"""


HOOK = "from anybind.plugin import hookimpl\nanybind_contract = 1\n@hookimpl\n"


def listed(result) -> dict:
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def statuses(result) -> dict[str, str]:
    return {plugin["distribution"]: plugin["status"] for plugin in listed(result)["plugins"]}


def test_an_external_plugin_is_found_by_its_entry_point(make_distribution, run_anybind):
    site = make_distribution(
        "strange", {"strange": "strange_plugin"}, {"strange_plugin": GOOD.format(task="odd", module="m")}
    )
    result = run_anybind("plugins", "--json", path=site)
    assert result.returncode == 0
    assert statuses(result)["strange"] == "ok"
    assert ("task", "odd") in {(part["kind"], part["name"]) for part in listed(result)["parts"]}


BROKEN = {
    "import-error": ("raise RuntimeError('kaput on import')", "RuntimeError: kaput on import"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "absent-package": (
        "import no_such_package_at_all",
        "ModuleNotFoundError: No module named 'no_such_package_at_all'",
    ),
    "syntax": ("def broken(:", "SyntaxError"),
    "no-contract": ("", "anybind_contract = 1"),
    "later-contract": ("anybind_contract = 2", "contract 2"),
    "hook-name": (HOOK + "def registr(registry): pass", "registr"),
    "hook-argument": (HOOK + "def register(regstry): pass", "regstry"),
    "no-spec": (HOOK + "def register(registry): registry.add('not a spec')", "takes a spec such as EncoderSpec"),
    "hook-error": (HOOK + "def register(registry): 1 / 0", "ZeroDivisionError"),
    "no-hook": ("anybind_contract = 1\ndef register(registry): pass", "decorated with @hookimpl"),
    "half": (GOOD.format(task="half", module="m") + "    raise RuntimeError('after the first')\n", "after the first"),
    "embed": (GOOD.format(task="embed", module="m").replace("TaskSpec", "CommandSpec"), "the command 'embed' is any"),
}


@pytest.fixture(scope="module")
def broken_listing(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """List plugins and parts beside all broken plugins, each of its own distribution."""
    site = tmp_path_factory.mktemp("broken")
    install_plugins(site, {name: source for name, (source, _) in BROKEN.items()})
    result = run_anybind_process("plugins", "--json", path=site)
    assert result.returncode == 0
    return listed(result)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_its_error(broken_listing, name):
    (wreck,) = [plugin for plugin in broken_listing["plugins"] if plugin["distribution"] == name]
    assert wreck["status"] == "broken"
    assert BROKEN[name][1] in wreck["problem"]
    assert "\n" not in wreck["problem"]


def test_broken_plugins_affect_no_other_and_register_no_part(broken_listing):
    broken = {plugin["distribution"] for plugin in broken_listing["plugins"] if plugin["status"] != "ok"}
    assert broken == BROKEN.keys()
    assert any(part["name"] == "mini" for part in broken_listing["parts"])
    assert not broken & {part["plugin"] for part in broken_listing["parts"]}


def test_two_distributions_with_a_part_of_one_name_are_refused_and_both_are_named(make_distribution, run_anybind):
    source = GOOD.format(task="zero-shot", module="rival_plugin")
    site = make_distribution("rival", {"rival": "rival_plugin"}, {"rival_plugin": source})
    listing = run_anybind("plugins", path=site)
    assert listing.returncode == 2
    use = run_anybind("evaluate", "zero-shot", "--data", site, "--modality", "image", path=site)
    assert use.returncode == 2
    for result in (listing, use):
        error = result.stderr.strip().splitlines()[-1]
        assert "rival (plugin 'rival')" in error
        assert "anybind (plugin 'classification')" in error
        assert "'zero-shot'" in error


def test_a_clash_leaves_other_parts_usable(make_distribution, run_anybind):
    source = GOOD.format(task="zero-shot", module="rival_plugin")
    site = make_distribution("rival", {"rival": "rival_plugin"}, {"rival_plugin": source})
    result = run_anybind("bindings", "--json", path=site)
    assert result.returncode == 0
    assert "rival" in result.stderr


def test_two_plugins_of_one_name_are_both_refused_and_both_are_named(make_distribution, run_anybind):
    for name in ("first-dist", "second-dist"):
        module = name.replace("-", "_")
        site = make_distribution(name, {"same": module}, {module: GOOD.format(task=name, module=module)})
    result = run_anybind("plugins", "--json", path=site)
    assert statuses(result)["first-dist"] == statuses(result)["second-dist"] == "refused"
    assert result.returncode == 2
    error = result.stderr.strip().splitlines()[-1]
    assert "first-dist and second-dist both bring a plugin named 'same'" in error


def test_one_of_two_plugins_of_one_name_is_loaded_when_the_variable_names_its_distribution(
    make_distribution, run_anybind
):
    for name in ("first-dist", "second-dist"):
        module = name.replace("-", "_")
        site = make_distribution(name, {"same": module}, {module: GOOD.format(task=name, module=module)})
    result = run_anybind("plugins", "--json", path=site, ANYBIND_PLUGINS="anybind,first-dist")
    assert result.returncode == 0
    assert (statuses(result)["first-dist"], statuses(result)["second-dist"]) == ("ok", "off")


def test_the_same_module_behind_two_distributions_is_seen_as_two(make_distribution, run_anybind):
    # Entry points compare equal when name and value agree, whatever distribution they are of.
    module = {"common_plugin": GOOD.format(task="t", module="m")}
    for name in ("first-dist", "second-dist"):
        site = make_distribution(name, {"same": "common_plugin"}, module)
    assert statuses(run_anybind("plugins", "--json", path=site))["first-dist"] == "refused"


@pytest.mark.slow
def test_the_variable_loads_only_the_distributions_that_it_names(make_distribution, run_anybind):
    site = make_distribution(
        "Strange.Dist", {"s": "strange_plugin"}, {"strange_plugin": GOOD.format(task="odd", module="m")}
    )
    only = listed(run_anybind("plugins", "--json", path=site, ANYBIND_PLUGINS="strange-dist"))
    assert {part["name"] for part in only["parts"]} == {"odd"}
    rest = listed(run_anybind("plugins", "--json", path=site, ANYBIND_PLUGINS="anybind"))
    assert "odd" not in {part["name"] for part in rest["parts"]}
    one = listed(run_anybind("plugins", "--json", path=site, ANYBIND_PLUGINS="media"))
    assert {part["plugin"] for part in one["parts"]} == {"media"}
    none = listed(run_anybind("plugins", "--json", path=site, ANYBIND_PLUGINS=""))
    assert none["parts"] == []


def test_the_variable_naming_what_is_not_installed_is_an_error(run_anybind):
    result = run_anybind("plugins", ANYBIND_PLUGINS="anybind,anybnd-thermal")
    assert result.returncode == 2
    assert (
        result.stderr
        == "error: ANYBIND_PLUGINS names 'anybnd-thermal', which is not installed; did you mean 'anybind'?\n"
    )


def test_a_name_of_a_plugin_that_was_not_loaded_says_so(run_anybind, tmp_path):
    image = tmp_path / "p.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run_anybind(
        "embed", image, "-o", tmp_path / "o.safetensors", ANYBIND_PLUGINS="classification,media,events"
    )
    assert result.returncode == 2
    assert "there is no binding 'mini'" in result.stderr
    assert "plugin 'mini' of anybind is off: ANYBIND_PLUGINS does not name it" in result.stderr


def test_an_unknown_name_raises_with_the_nearest_names():
    with pytest.raises(UnknownName, match="did you mean 'mini-image'"):
        create_part("encoder", "mini-imgae")
    with pytest.raises(UnknownName, match="did you mean 'encoder'"):
        list_parts("encoders")


def test_a_wildcard_lists_the_names_that_match():
    assert [part.name for part in list_parts("encoder", "mini-*")] == ["mini-image", "mini-sound", "mini-text"]
    assert list_parts("encoder", "nothing*") == []


def test_a_missing_extra_raises_with_the_pip_line(registry: Registry, add_plugin, tmp_path, monkeypatch):
    (tmp_path / "needy_plugin.py").write_text("import package_that_nobody_has\ndef make(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = EncoderSpec(name="needy", modality="m", summary="s", target="needy_plugin:make", extra="heavy")
    add_plugin(registry, spec, distribution="needy-dist")
    with pytest.raises(MissingExtra, match=r"package_that_nobody_has.*pip install 'needy-dist\[heavy\]'"):
        create_part("encoder", "needy")


def test_a_package_imported_at_creation_is_a_missing_extra_too(registry, add_plugin, tmp_path, monkeypatch):
    (tmp_path / "late_plugin.py").write_text("def make():\n    import package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    add_plugin(registry, EncoderSpec(name="late", modality="m", summary="s", target="late_plugin:make", extra="x"))
    with pytest.raises(MissingExtra, match=r"pip install 'test-dist\[x\]'"):
        create_part("encoder", "late")


def test_a_bug_in_a_plugins_imports_is_not_a_missing_extra(registry, add_plugin, tmp_path, monkeypatch):
    (tmp_path / "buggy_plugin.py").write_text("from buggy_plugin.helpers import nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    add_plugin(registry, EncoderSpec(name="buggy", modality="m", summary="s", target="buggy_plugin:make", extra="x"))
    with pytest.raises(PluginError, match="failed to import"):
        create_part("encoder", "buggy")


def test_an_unknown_option_of_a_part_raises_with_the_valid_ones():
    with pytest.raises(BadOption, match=r"'clam'.*options: clamp, clamp_percentile, divisor, invert"):
        create_part("representation", "paper", clam=3)


def test_a_plugin_that_registers_a_name_twice_is_broken(registry, add_plugin):
    spec = TaskSpec(name="double", summary="s", target="m:a")
    add_plugin(registry, spec, spec)
    assert registry.plugins[0].status == "broken"
    assert "the task 'double' twice" in registry.plugins[0].problem


@pytest.mark.parametrize("target", ["module", "module:", ":attribute", ""])
def test_a_spec_with_an_incomplete_target_raises(target):
    with pytest.raises(ValueError, match=r"package\.module:attribute"):
        Spec(name="x", summary="s", target=target)


def test_one_name_may_stand_for_parts_of_different_kinds(registry, add_plugin):
    fields = {"name": "same", "summary": "s", "target": "m:a"}
    add_plugin(registry, TaskSpec(**fields), ReaderSpec(**fields, modality="m"))
    assert find_part("task", "same").kind == "task"
    assert registry.list_clashes() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 5},
        {"summary": None},
        {"suffixes": ".xyz"},
        {"suffixes": (".XYZ",)},
        {"suffixes": ("xyz",)},
        {"modality": None},
    ],
    ids=str,
)
def test_a_spec_with_a_field_of_another_type_raises(wrong):
    with pytest.raises(ValueError, match="must be"):
        ReaderSpec(**{"name": "x", "modality": "m", "summary": "s", "target": "m:a", **wrong})


def test_a_command_of_two_plugins_is_listed_and_raises_when_it_runs(make_distribution, run_anybind):
    source = GOOD.format(task="zero", module="m").replace("TaskSpec", "CommandSpec").replace("zero", "demo")
    site = make_distribution("rival", {"rival": "rival_plugin"}, {"rival_plugin": source})
    listing = run_anybind("--help", path=site)
    assert listing.returncode == 0
    assert "classify" in listing.stdout
    use = run_anybind("demo", path=site)
    assert use.returncode == 2
    assert "rival (plugin 'rival') both bring the command 'demo'" in use.stderr.strip().splitlines()[-1]


def test_a_command_of_a_plugin_that_was_not_loaded_says_so(run_anybind):
    result = run_anybind("demo", ANYBIND_PLUGINS="media,mini")
    assert result.returncode == 2
    assert "no command 'demo'" in result.stderr
    assert "plugin 'classification' of anybind is off" in result.stderr


STRANGER = """
import numpy
from anybind import Result
from anybind.plugin import Dataset, DatasetSpec, Item, Task, TaskSpec, files, hookimpl, readers

anybind_contract = 1

@hookimpl
def register(registry):
    registry.add(TaskSpec(name="count", summary="how many", target="strange_plugin:Count"))
    registry.add(DatasetSpec(name="flat", summary="no classes", target="strange_plugin:Flat"))

class Count(Task):
    name, main_metric = "count", "share"
    def __init__(self, *, of=1):
        self.of = of
    def run(self, binder, dataset, *, modality, seed=0, on_bad=None):
        return Result(task="count", dataset=dataset.name, split_hash=dataset.split_hash, binding=binder.name,
            modality=modality, encoders={}, seed=seed, n=len(dataset.items), gallery_size=0,
            metrics={"share": numpy.float32(len(dataset.items) / self.of)})

class Flat(Dataset):
    name, classes = "flat", ()
    items = ()
    def __init__(self, folder, *, modalities, first=99):
        found = files.list_files(folder, readers.list_suffixes(modalities))[:first]
        self.items = [Item(files.portable_name(path), path) for path in found]
"""


@pytest.mark.slow
def test_an_external_task_and_dataset_are_evaluated_by_the_command_with_options(
    make_distribution, run_anybind, tmp_path
):
    site = make_distribution("strange", {"strange": "strange_plugin"}, {"strange_plugin": STRANGER})
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    command = ("evaluate", "count", "--dataset", "flat", "--data", tmp_path, "--modality", "image", "--json")
    result = run_anybind(*command, "--task-option", "of=8", "--dataset-option", "first=2", path=site)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["share"] == 0.25
    wrong = run_anybind(*command, "--task-option", "off=8", path=site)
    assert wrong.returncode == 2
    assert "task 'count'" in wrong.stderr
    assert "(options: of)" in wrong.stderr


@pytest.mark.long
@pytest.mark.slow
def test_the_demo_works_beside_a_broken_plugin(make_distribution, run_anybind, tmp_path):
    site = make_distribution("wreck", {"wreck": "wreck_plugin"}, {"wreck_plugin": "raise RuntimeError('kaput')"})
    result = run_anybind("demo", "-o", tmp_path / "demo", path=site)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "demo" / "index.html").is_file()


def test_a_plugin_that_is_not_loaded_is_no_suggestion_for_its_own_name(make_distribution, run_anybind):
    site = make_distribution("bad2", {"bad2": "bad2_plugin"}, {"bad2_plugin": "raise ValueError('no')"})
    error = run_anybind("plugins", "check", "bad2", path=site).stderr
    assert "there is no plugin 'bad2'" in error
    assert "is broken" in error
    assert "'bad2'?" not in error
    assert "'bad2' or" not in error


def test_an_unknown_kind_is_an_error_with_all_kinds(cli):
    error = cli("plugins", "new", "my-part", "--kind", "nope").error()
    assert "there is no kind of part 'nope'; there are: adapter, binding, command, dataset, encoder," in error
