"""Search space files: what they may say, what it means, and what is said about the others."""

import logging
import re
import time
from pathlib import Path

import pytest
import yaml

from tuner import hardware
from tuner.errors import SpaceError
from tuner.space import files as space_files
from tuner.space import spec
from tuner.space.resolution import resolve, search_space
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    LauncherArgument,
    ServerFlag,
    ServerProperty,
)
from tuner.space.space import FloatParameter, IntParameter, SearchSpace
from tuner.space.spec import load_space

SPECS = Path(__file__).parent / "specs"
PAGE = Path(__file__).parents[2] / "docs" / "space_files.md"


def facts(cores: int = 4) -> dict[str, int]:
    return {"cores": cores, "memory_gib": 16, "numa_nodes": 1, "gpus": 0}


def all_facts(cores: int = 4) -> dict[str, int]:
    """Those that only the built-in spaces need, too."""
    return {**facts(cores), "threads_per_core": 2, "numactl": 1}


def good(name: str, cores: int = 4) -> SearchSpace:
    return search_space(SPECS / "good" / f"{name}.yaml", facts(cores))


def refusal(path: Path, cores: int = 4) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        search_space(path, facts(cores))
    return caught.value


class TestGoodFiles:
    def test_minimal(self) -> None:
        """A server and one parameter with its domain, default and place are enough."""
        searched = good("minimal")
        assert searched.server == "triton"
        assert searched.parameters == (
            IntParameter(
                name="threads",
                low=1,
                high=8,
                default=4,
                sets=EnvironmentVariables(("OMP_NUM_THREADS",)),
            ),
        )
        assert (searched.rules, searched.hints) == ((), ())

    def test_all_types(self) -> None:
        """Each type has its values, each kind of `sets` its place."""
        searched = good("all_types")
        assert {p.name: p.choices for p in searched.parameters} == {
            "workers": (2, 4, 6, 8),
            "instances": (1, 2, 3, 4, 6),
            "share": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
            "delay_ms": None,
            "allocator": ("system", "off", "010", 1000.0, "jemalloc"),
            "batching": (False, True),
            "preload": ("none", "libjemalloc.so.2"),
            "io_ratio": tuple(range(1, 101)),
            "netty_threads": (0, 4),
            "logical_cores": (False, True),
            "node": (-1, 0, 1),
        }
        assert {p.name: p.sets for p in searched.parameters} == {
            "workers": ServerFlag("--workers"),
            "instances": ConfigPath("instance_group[0].count"),
            "share": ServerFlag("--share"),
            "delay_ms": ServerFlag("--delay-ms"),
            "allocator": EnvironmentVariables(("ALLOCATOR", "MALLOC")),
            "batching": ConfigPath("dynamic_batching", omit=False),
            "preload": EnvironmentVariables(("LD_PRELOAD",), omit="none"),
            "io_ratio": ServerProperty("io_ratio"),
            "netty_threads": ServerProperty("number_of_netty_threads", omit=0),
            "logical_cores": LauncherArgument("--use-logical-core"),
            "node": LauncherArgument("--node-id", omit=-1),
        }
        assert [p.name for p in searched.parameters if p.reload] == ["instances"]

    def test_words(self) -> None:
        """They may run over several lines, and stay with another default; reasons are kept."""
        searched = good("all_types")
        assert searched["instances"].description == (
            "Copies of the model that run at the same time"
        )
        assert searched["instances"].source == "Triton model_configuration.md"
        assert searched["instances"].proof == (
            "confirmed: the configuration that the server answers with"
        )
        assert searched.rules[0].because == "this is a test"
        moved = searched.with_default("instances", 5)["instances"]
        assert moved.proof == searched["instances"].proof

    def test_hints(self) -> None:
        """A hint has the values that it names; the rest are defaults, once a model has its say."""
        searched = good("all_types")
        assert dict(searched.hints[0]) == {"workers": 8, "batching": True}

    def test_numbers_have_the_type_of_their_parameter(self) -> None:
        """`1` for a float is 1.0, and an expression for an int is whole."""
        assert repr(good("all_types")["delay_ms"].default) == "1.0"
        assert repr(good("expressions", cores=3)["workers"].default) == "1"

    @pytest.mark.parametrize(
        ("cores", "workers", "threads", "default"),
        [
            (1, "1 to 2, doubling", "1 to 1", 1),
            (3, "1 to 6, doubling", "1 to 3", 1),
            (4, "1 to 8, doubling", "1 to 4", 2),
            (9, "2 to 18, doubling", "1 to 9", 4),
        ],
    )
    def test_expressions(self, cores: int, workers: str, threads: str, default: int) -> None:
        """Bounds, steps and defaults follow the machine; whole numbers are rounded down."""
        searched = good("expressions", cores)
        assert searched["workers"].domain == workers
        assert searched["workers"].default == default
        assert searched["threads"].domain == threads
        assert searched["cache_gib"].choices == (0.0, 2.0, 4.0, 6.0, 8.0)

    def test_a_default_that_does_not_fit_this_machine(self) -> None:
        """The server's own default cannot be moved, so the bounds are wrong."""
        error = refusal(SPECS / "good" / "expressions.yaml", cores=64)
        assert error.message.endswith(
            "parameters.threads.default: must be in the domain (1 to 16), but got 64"
        )
        assert error.hint == "on this machine cores=64, memory_gib=16, numa_nodes=1, gpus=0"

    def test_hints_that_do_not_fit_this_machine(self, caplog: pytest.LogCaptureFixture) -> None:
        """They take the nearest value; they are left out if they break a rule then, or equal."""
        with caplog.at_level(logging.INFO):
            hints = good("expressions", cores=3).hints
        assert [(hint["workers"], hint["threads"]) for hint in hints] == [(2, 1), (1, 1)]
        rule = "workers * threads <= cores * max(1, cores / 2)"
        assert caplog.messages == [
            f"hints[1] is left out on this machine: it breaks `{rule}`",
        ]

    def test_conditions_on_conditions(self) -> None:
        """A file may name its parameters in any order."""
        searched = good("conditions")
        assert [p.name for p in searched.parameters] == [
            "batching",
            "max_batch_size",
            "preferred_batch_size",
        ]
        assert searched.size == 1 + 2 + 1 * 3
        assert good("conditions", cores=1).size == 1 + 3


class TestFacts:
    TEXT = """
server: triton
parameters:
  kind:
    {type: categorical, choices: [any, gpu], default: any, when: gpus > 0, sets: {flag: --kind}}
  graphs: {type: boolean, default: false, when: kind == 'gpu', sets: {flag: --graphs}}
  threads: {type: int, low: 1, high: 4, default: 1, sets: {flag: --threads}}
  off: {type: boolean, default: false, when: false, sets: {flag: --off}}
rules:
  - rule: kind == 'any' or threads == 1
hints:
  - {kind: gpu, graphs: true, threads: 1}
  - {threads: 2}
"""

    def test_what_the_machine_rules_out(self, file: Path) -> None:
        """A parameter whose condition the facts alone refuse is gone, and what needs it too."""
        file.write_text(self.TEXT)
        searched = search_space(file, facts())
        assert [p.name for p in searched.parameters] == ["threads"]
        assert [dict(hint) for hint in searched.hints] == [{"threads": 1}, {"threads": 2}]
        assert searched.size == 4

    def test_what_it_allows(self, file: Path) -> None:
        """Where the condition holds, everything is there but what is never there."""
        file.write_text(self.TEXT)
        searched = search_space(file, {**facts(), "gpus": 1})
        assert {p.name for p in searched.parameters} == {"kind", "graphs", "threads"}


class TestExtends:
    def test_changes_adds_and_takes_out(self) -> None:
        """Named keys change, new parameters come last, null takes out."""
        base = search_space(spec.built_in()["triton"], facts())
        searched = good("extends")
        gone = {"preferred_batch_size", "threads"}
        assert {p.name for p in searched.parameters} == (
            {p.name for p in base.parameters} - gone | {"front_end_threads"}
        )
        changed, inherited = searched["instance_count"], base["instance_count"]
        assert (changed.domain, inherited.domain) == ("1 to 4", "1 to 8, doubling")
        assert (changed.default, changed.sets) == (inherited.default, inherited.sets)
        assert (searched.server, searched["max_batch_size"]) == ("triton", base["max_batch_size"])

    def test_rules_and_hints(self) -> None:
        """Those of the file come first; inherited ones about what is gone are gone."""
        searched = good("extends")
        [rule] = searched.rules
        assert rule.expression.text == "instance_count <= front_end_threads"
        assert dict(searched.hints[0]) == {"front_end_threads": 4}
        assert {"instance_count": 4} in [dict(hint) for hint in searched.hints]
        assert all("threads" not in hint for hint in searched.hints)

    def test_null_takes_out_all_rules_and_hints(self, file: Path) -> None:
        """`rules: null` begins anew."""
        file.write_text("extends: triton\nrules: null\nhints: null\nserver: other\n")
        searched = search_space(file, facts())
        assert (searched.server, searched.rules, searched.hints) == ("other", (), ())

    @pytest.mark.parametrize("key", ["parameters", "rules", "hints"])
    def test_complaints_about_the_file_itself(self, file: Path, key: str) -> None:
        """A key of the wrong type is not mixed with what is inherited."""
        file.write_text(f"extends: triton\n{key}: 4\n")
        assert refusal(file).message.startswith(f"{file}: {key}: a ")

    def test_of_a_space_that_extends_another(self, file: Path) -> None:
        """What a built-in space has from another one is inherited as well."""
        file.write_text("extends: triton_pytorch\nparameters:\n  jit_executor: null\n")
        base = load_space(spec.built_in()["triton_pytorch"])
        changed = load_space(file)
        assert changed.server == "triton"
        assert base.parameters.keys() - changed.parameters.keys() == {"jit_executor"}
        assert "instance_count" in changed.parameters

    def test_nothing_inherited(self, file: Path) -> None:
        """A built-in space as it is."""
        file.write_text("extends: triton\n")
        base = load_space(spec.built_in()["triton"])
        assert search_space(file, facts()) == resolve(base, facts())


class TestBadFiles:
    @pytest.mark.parametrize("path", sorted((SPECS / "bad").glob("*.yaml")), ids=lambda p: p.stem)
    def test_message(self, path: Path) -> None:
        """Each fault has its message: where, what was expected, what came, what to do."""
        expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
        message, _, hint = expected.partition(" | hint: ")
        started = time.perf_counter()
        error = refusal(path)
        assert (error.message, error.hint) == (f"{path}: {message}", hint)
        assert time.perf_counter() - started < 5


@pytest.mark.parametrize("name", sorted(spec.built_in()))
class TestBuiltIn:
    @pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
    def test_resolves(self, name: str, cores: int) -> None:
        """On any machine, with several values to choose from and hints beyond the baseline."""
        searched = search_space(spec.built_in()[name], all_facts(cores))
        assert not searched.violations(searched.defaults)
        assert all(p.accepts(p.default) for p in searched.parameters)
        assert searched.combinations > 10
        assert {searched.activate(hint) for hint in searched.hints} - {searched.defaults}
        for hint in searched.hints:
            assert not searched.violations(searched.activate(hint))
            assert all(searched[n].accepts(value) for n, value in hint.items())

    def test_is_documented(self, name: str) -> None:
        """Every parameter says what it is, and where the server's documentation says so."""
        loaded = load_space(spec.built_in()[name])
        assert loaded.description
        for parameter in loaded.parameters.values():
            assert parameter.description
            assert not parameter.description.endswith(".")
            assert parameter.source
        assert all(entry.because for entry in loaded.rules)

    def test_is_read_alike_by_other_tools(self, name: str) -> None:
        """The file means the same to any reader of YAML."""
        path = spec.built_in()[name]
        assert yaml.safe_load(path.read_text()) == space_files.mapping(path)


def test_triton_on_eight_cores() -> None:
    """The rules of thumb: batching, or one thread for each of as many instances as cores."""
    searched = search_space(spec.built_in()["triton"], facts(8))
    assert dict(searched.defaults) == {
        "instance_count": 1,
        "threads": 8,
        "dynamic_batching": False,
    }
    configurations = [searched.activate(hint) for hint in searched.hints]
    tried = {(each["instance_count"], each["threads"]) for each in configurations}
    assert tried == {(8, 1), (1, 8)}
    assert searched["instance_count"].choices == (1, 2, 4, 8, 16)


def test_triton_on_three_cores() -> None:
    """`cores` instances are none of the doublings: the hint takes the nearest, not an error."""
    searched = search_space(spec.built_in()["triton"], facts(3))
    assert searched.hints[1]["instance_count"] == 2


class TestPage:
    BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    def test_has_examples(self) -> None:
        """The tutorial's, a complete file, one of parts, and one that extends another."""
        assert [block.partition(":")[0] for block in self.BLOCKS] == [
            "extends",
            "server",
            "extends",
            "extends",
        ]

    @pytest.mark.parametrize("block", BLOCKS)
    @pytest.mark.parametrize("cores", [1, 3, 8])
    def test_examples_load(self, file: Path, block: str, cores: int) -> None:
        """Every example is a whole file that can be used as it is."""
        file.write_text(block)
        assert search_space(file, facts(cores)).hints

    @pytest.mark.parametrize(
        "key",
        sorted(
            {
                *spec.ParameterSpec.model_fields,
                *spec.SetsSpec.model_fields,
                *spec.SpaceSpec.model_fields,
                *spec.RuleSpec.model_fields,
                "extends",
                *hardware.detect().bounds,
            }
        ),
    )
    def test_every_key_is_documented(self, key: str) -> None:
        """Each key of a file, a parameter and a rule has a place, and each fact of the machine."""
        assert f"`{key}`" in PAGE.read_text()


def test_float_parameters_of_a_file(file: Path) -> None:
    """A hint for a real number is a number within its bounds."""
    head = (SPECS / "good/all_types.yaml").read_text().partition("hints:")[0]
    file.write_text(head + "hints:\n  - {delay_ms: 3, share: 0.3}\n  - {share: 1 / 3}\n")
    searched = search_space(file, facts())
    assert isinstance(searched["delay_ms"], FloatParameter)
    assert (searched.hints[0]["delay_ms"], searched.hints[1]["share"]) == (3.0, 0.3)
