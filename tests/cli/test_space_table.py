"""`tuner spaces table`: the built-in spaces in Markdown, and in docs/ as it prints them."""

import re
from pathlib import Path

import pytest

from tests.command_line import Tuner, error
from tuner.space import spec

PAGE = Path(__file__).parents[2] / "docs" / "space_parameters.md"
SECTION = re.compile(
    r"^## The built-in spaces\n\n"
    r"<!-- made by `tuner spaces table`: begin -->\n\n"
    r"(.*)\n"
    r"<!-- made by `tuner spaces table`: end -->$",
    re.MULTILINE | re.DOTALL,
)
PARAMETERS = [
    (space, name)
    for space, path in spec.built_in().items()
    for name in spec.load_space(path).parameters
]


class TestBuiltInSpaces:
    @pytest.mark.parametrize(("space", "name"), PARAMETERS)
    def test_every_parameter_has_a_proof_and_a_source(self, space: str, name: str) -> None:
        """Each says whether its effect is confirmed or only accepted, by what, and its source."""
        parameter = spec.load_space(spec.built_in()[space]).parameters[name]

        assert re.match(r"(confirmed|accepted): \S", parameter.proof)
        assert not parameter.proof.endswith(".")
        assert parameter.source

    def test_the_page_has_them_as_the_command_prints_them(self, tuner: Tuner) -> None:
        """After a change of a space, the command's output goes into the page once more."""
        found = SECTION.search(PAGE.read_text())

        assert found is not None
        assert found[1] == tuner("spaces", "table").out


class TestTable:
    def test_a_heading_and_a_row_for_each_parameter(self, tuner: Tuner) -> None:
        """Every space has its heading, and every row as many cells as the head."""
        result = tuner("spaces", "table")

        lines = result.out.splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        assert (result.status, result.err) == (0, "")
        assert [line for line in lines if line.startswith("#")] == [
            f"### {name}" for name in spec.built_in()
        ]
        assert len(rows) == len(PARAMETERS) + 2 * len(spec.built_in())
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}

    def test_bounds_are_as_written(self, tuner: Tuner) -> None:
        """Nothing of the table depends on the machine that it is printed on."""
        lines = tuner("spaces", "table", "torchserve").out.splitlines()

        assert (
            "| netty_threads | property `number_of_netty_threads`, left out at `0` | `0` "
            "| `0 to 2 * cores, step cores` | restart | always "
            "| confirmed: what TorchServe says of it when it starts "
            '| TorchServe configuration.md, "number_of_netty_threads" |'
        ) in lines
        assert any(
            line.startswith(
                "| max_batch_delay | config `maxBatchDelay` | `100` "
                "| `1, 2, 5, 10, 20, 50, 100` | reload | `batch_size > 1` | "
            )
            for line in lines
        )

    def test_only_those_that_are_named(self, tuner: Tuner) -> None:
        """Names choose the spaces and their order."""
        assert "torchserve" not in tuner("spaces", "table", "triton").out
        both = tuner("spaces", "table", "triton", "torchserve", "--json").json
        assert [space["name"] for space in both] == ["triton", "torchserve"]

    def test_json(self, tuner: Tuner) -> None:
        """The same as JSON, with the keys that `show` has."""
        [space] = tuner("spaces", "table", "torchserve", "--json").json

        rows = {row["name"]: row for row in space["parameters"]}
        loaded = spec.load_space(spec.built_in()["torchserve"])
        assert list(rows) == list(loaded.parameters)
        assert rows["node"] == {
            "name": "node",
            "sets": {"launcher": "--node-id", "omit": -1},
            "default": -1,
            "range": "-1 to numa_nodes - 1",
            "reload": False,
            "when": "cpu_launcher and numa_nodes > 1",
            "proof": loaded.parameters["node"].proof,
            "source": loaded.parameters["node"].source,
        }
        assert rows["threads"]["sets"] == {"environment": "OMP_NUM_THREADS, MKL_NUM_THREADS"}
        assert rows["cpu_launcher"]["range"] == "false, true"

    def test_unknown(self, tuner: Tuner) -> None:
        """Another name is refused with those that there are."""
        assert tuner("spaces", "table", "triton", "tritno") == error(
            "`tritno` is not a built-in space",
            f"built in: {', '.join(spec.built_in())}",
        )
