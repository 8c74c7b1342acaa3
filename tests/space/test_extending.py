"""Files that narrow what they extend: what does not fit any more is left out, and told."""

from pathlib import Path

import pytest

from tests.command_line import Tuner
from tuner.errors import SpaceError
from tuner.space import files, spec
from tuner.space.resolution import Resolved, resolved
from tuner.space.spec import load_space

FACTS = {"cores": 4, "memory_gib": 16, "numa_nodes": 1, "gpus": 0}
BASE = """
server: triton
parameters:
  mode: {type: categorical, choices: [a, b, c], default: a, sets: {flag: --mode}}
  count: {type: int, low: 1, high: 8, default: 1, sets: {flag: --count}}
  threads: {type: int, low: 1, high: 4, default: 2, sets: {flag: --threads}}
  share: {type: float, low: 0, high: 1, default: 0.5, when: count > 2, sets: {flag: --share}}
  deep: {type: boolean, default: false, when: share > 0.2, sets: {flag: --deep}}
rules:
  - rule: count * threads <= 16
  - rule: mode != 'c' or count == 1
hints:
  - {mode: b, count: 4}
  - {count: 8, threads: 1}
  - {count: 2 * cores}
"""
WHOLE = [{"mode": "b", "count": 4}, {"count": 8, "threads": 1}, {"count": 8}]


@pytest.fixture(autouse=True)
def _spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`base`, and `middle` between it and a file, are built in for the test."""
    built_in = {name: tmp_path / f"{name}.yaml" for name in ("base", "middle")}
    built_in["base"].write_text(BASE)
    built_in["middle"].write_text("extends: base\nparameters:\n  threads: null\n")
    for module in (files, spec):
        monkeypatch.setattr(module, "built_in", lambda: built_in)


def narrowed(file: Path, parameters: str, rest: str = "", *, base: str = "base") -> Resolved:
    """The space that a file makes of the base."""
    file.write_text(f"extends: {base}\nparameters:\n{parameters}{rest}")
    return resolved(load_space(file), FACTS, file=file)


def hints(found: Resolved) -> list[dict[str, object]]:
    return [dict(hint) for hint in found.space.hints]


def told(found: Resolved) -> list[str]:
    return [str(each) for each in found.left_out]


def refused(file: Path, parameters: str, rest: str = "") -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        narrowed(file, parameters, rest)
    return caught.value


class TestInherited:
    def test_nothing_is_left_out(self, file: Path) -> None:
        """A file that only adds leaves everything as it was."""
        found = narrowed(file, "  more: {type: boolean, default: false, sets: {flag: --more}}\n")
        assert (hints(found), told(found)) == (WHOLE, [])
        assert len(found.space.rules) == 2

    @pytest.mark.parametrize(
        ("parameters", "kept", "left_out"),
        [
            (
                "  mode: {choices: [a, c]}\n",
                WHOLE[1:],
                [
                    (
                        "the hint {mode: b, count: 4} of `base`: mode: must be in the domain "
                        "(a, c), but got the text `b`"
                    )
                ],
            ),
            (
                "  mode: {choices: [a]}\n",
                WHOLE[1:],
                [
                    (
                        "the hint {mode: b, count: 4} of `base`: mode: must be in the domain "
                        "(a), but got the text `b`"
                    )
                ],
            ),
            (
                "  count: {high: 4}\n",
                [WHOLE[0], {"count": 4}],
                [
                    (
                        "the hint {count: 8, threads: 1} of `base`: count: must be in the domain "
                        "(1 to 4), but got 8"
                    )
                ],
            ),
            (
                "  count: {low: 5, default: 5}\n",
                WHOLE[1:],
                [
                    (
                        "the hint {mode: b, count: 4} of `base`: count: must be in the domain "
                        "(5 to 8), but got 4"
                    )
                ],
            ),
            (
                "  count: {low: 8, high: 8, default: 8}\n",
                WHOLE[1:],
                [
                    (
                        "the hint {mode: b, count: 4} of `base`: count: must be in the domain "
                        "(8 to 8), but got 4"
                    )
                ],
            ),
            (
                "  count: {step: 3}\n",
                [{"count": 7}],
                [
                    (
                        "the hint {count: 8, threads: 1} of `base`: count: must be in the domain "
                        "(1 to 8 step 3), but got 8"
                    )
                ],
            ),
        ],
    )
    def test_hints_outside_a_smaller_domain(
        self, file: Path, parameters: str, kept: list[dict[str, object]], left_out: list[str]
    ) -> None:
        """A hint with a value that is not there any more goes; expressions take the nearest."""
        found = narrowed(file, parameters)
        assert all(hint in hints(found) for hint in kept)
        assert told(found) == left_out

    def test_a_parameter_that_was_taken_out(self, file: Path) -> None:
        """Rules about it go, hints lose its values, and what is there only with it goes too."""
        found = narrowed(file, "  count: null\n")
        assert [p.name for p in found.space.parameters] == ["mode", "threads"]
        assert found.space.rules == ()
        assert hints(found) == [{"mode": "b"}, {"threads": 1}]
        assert told(found) == [
            "the parameter `share` of `base`: its condition `count > 2` needs `count`",
            "the parameter `deep` of `base`: its condition `share > 0.2` needs `share`",
            "the rule `count * threads <= 16` of `base`: `count` is not there",
            "the rule `mode != 'c' or count == 1` of `base`: `count` is not there",
            "the hint {mode: b, count: 4} of `base`: `count` is not there; it stays without that",
            (
                "the hint {count: 8, threads: 1} of `base`: `count` is not there; it stays "
                "without that"
            ),
            "the hint {count: 2 * cores} of `base`: `count` is not there",
        ]

    def test_a_rule_that_the_defaults_break(self, file: Path) -> None:
        """The server as it is comes first: an inherited rule against it goes."""
        found = narrowed(file, "  mode: {choices: [c], default: c}\n  count: {default: 8}\n")
        [rule] = found.space.rules
        assert rule.expression.text == "count * threads <= 16"
        assert told(found)[0] == (
            "the rule `mode != 'c' or count == 1` of `base`: the defaults break "
            "`mode != 'c' or count == 1` (count=8, mode=c)"
        )

    def test_a_rule_that_cannot_be_worked_out(self, file: Path) -> None:
        """Another type takes the keys of the old one away, and the rules that need numbers."""
        found = narrowed(
            file, "  threads: {type: categorical, choices: [few, many], default: few}\n"
        )
        assert found.space["threads"].choices == ("few", "many")
        assert [rule.expression.text for rule in found.space.rules] == [
            "mode != 'c' or count == 1"
        ]
        kinds = [(each.kind, each.what) for each in found.left_out]
        assert kinds == [("rule", "count * threads <= 16"), ("hint", {"count": 8, "threads": 1})]

    def test_a_condition_that_cannot_be_worked_out(self, file: Path) -> None:
        """A parameter whose inherited condition compares words with numbers is not there."""
        found = narrowed(file, "  count: {type: categorical, choices: [x, y], default: x}\n")
        assert {"share", "deep"}.isdisjoint(p.name for p in found.space.parameters)
        gone = [each.what for each in found.left_out if each.kind == "parameter"]
        assert gone == ["deep", "share"]

    def test_over_two_files(self, file: Path) -> None:
        """What a space between has taken out is its own matter; what it kept is inherited."""
        found = narrowed(file, "  count: {high: 4}\n", base="middle")
        assert told(found) == [
            ("the hint {count: 8} of `middle`: count: must be in the domain (1 to 4), but got 8")
        ]
        assert hints(found) == [{"mode": "b", "count": 4}, {"count": 4}]

    def test_hints_that_break_a_rule_here(self, file: Path) -> None:
        """What a rule of the file keeps out on this machine is named too, whoever said it."""
        found = narrowed(file, "  mode: {choices: [a, b]}\n", "rules: [{rule: count <= cores}]\n")
        assert told(found) == [
            (
                "the hint {count: 8, threads: 1} of `base`: on this machine it breaks "
                "`count <= cores`"
            ),
            "the hint {count: 2 * cores} of `base`: on this machine it breaks `count <= cores`",
        ]


class TestOwn:
    def test_a_hint_outside_the_domain(self, file: Path) -> None:
        """What the file itself says must fit."""
        error = refused(file, "  count: {high: 4}\n", "hints: [{count: 8}]\n")
        assert error.message == (
            f"{file}: hints[0].count: must be in the domain (1 to 4), but got 8"
        )

    def test_a_rule_that_the_defaults_break(self, file: Path) -> None:
        """An own rule against the server as it is stays an error."""
        error = refused(file, "  count: {high: 4}\n", "rules: [{rule: count > 2}]\n")
        assert error.message == f"{file}: rules[0].rule: the defaults break `count > 2` (count=1)"

    @pytest.mark.parametrize("rest", ["rules: [{rule: count > 0}]\n", "hints: [{count: 1}]\n"])
    def test_what_names_a_parameter_that_is_gone(self, file: Path, rest: str) -> None:
        """An own rule or hint about a parameter that the file takes out is an error."""
        assert refused(file, "  count: null\n", rest).message.startswith(
            f"{file}: {rest.partition(':')[0]}[0]"
        )

    def test_a_hint_about_what_goes_with_another(self, file: Path) -> None:
        """An own hint for a parameter whose condition is gone says so, without a traceback."""
        parameters = "  count: {type: categorical, choices: [x, y], default: x}\n"
        error = refused(file, parameters, "hints: [{deep: true}]\n")
        assert error.message == f"{file}: hints[0].deep: no such parameter"

    def test_a_condition(self, file: Path) -> None:
        """A condition that the file gives must hold together."""
        error = refused(file, "  count: null\n  share: {when: count > 1}\n")
        assert error.message.startswith(f"{file}: parameters.share.when: `count` is not known")

    def test_a_default_that_does_not_fit(self, file: Path) -> None:
        """What the server does by itself is not guessed: the file has to say it."""
        error = refused(file, "  count: {low: 2}\n")
        assert error.message == (
            f"{file}: parameters.count.default: must be in the domain (2 to 8), but got 1"
        )
        assert error.hint == "it is inherited from `base`: give a `default` of this domain, too"


class TestServe:
    """How a server is started, in a built-in space that a file extends."""

    @pytest.fixture
    def served(self, tmp_path: Path) -> Path:
        (tmp_path / "base.yaml").write_text(BASE.replace("triton", "command") + SERVE)
        return tmp_path / "mine.yaml"

    def test_only_what_is_named_changes(self, served: Path) -> None:
        """Keys of `serve` are laid over those that are there, and so are names in a mapping."""
        served.write_text(
            "extends: base\nserve:\n  command: [other]\n  environment: {A: '2', B: null}\n"
            "  openai: null\n  request: {path: /}\n"
        )
        serve = load_space(served).serve
        assert serve is not None
        assert (serve.command, serve.environment) == (["other"], {"A": "2", "C": "1"})
        assert serve.openai is None
        assert serve.proofs == {"count": "count={{ count }}"}

    def test_no_proof_of_what_is_gone(self, served: Path) -> None:
        """Those of a parameter that is taken out go with it."""
        served.write_text("extends: base\nparameters:\n  count: null\n")
        serve = load_space(served).serve
        assert serve is not None
        assert serve.proofs == {}
        assert serve.proofs_at == {"/props": {"mode": "{{ mode }}"}}


SERVE = """
serve:
  command: [mine]
  environment: {A: '1', B: '1', C: '1'}
  openai: {task: chat}
  proofs: {count: "count={{ count }}"}
  proofs_at: {/props: {count: "{{ count }}", mode: "{{ mode }}"}}
"""


def test_check_names_what_is_left_out(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tuner spaces check` says it in lines of its own, and as values with `--json`."""
    file.write_text("extends: base\nparameters:\n  mode: {choices: [a, c]}\n")
    text, content = Tuner(capsys).both("spaces", "check", str(file))
    assert text.splitlines()[1:] == [
        (
            "left out: the hint {mode: b, count: 4} of `base`: mode: must be in the domain "
            "(a, c), but got the text `b`"
        )
    ]
    assert content["left_out"] == [
        {
            "kind": "hint",
            "what": {"mode": "b", "count": 4},
            "because": "mode: must be in the domain (a, c), but got the text `b`",
            "base": "base",
        }
    ]
