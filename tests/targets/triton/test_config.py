"""Triton's model configuration: paths into it, its text, its JSON, and what is refused."""

import json
from pathlib import Path

import pytest
from google.protobuf.message import Message

from tests.targets.triton.triton_targets import parsed
from tuner.errors import ModelError, ServerError, SpaceError
from tuner.space.expressions import Value
from tuner.targets.triton import config as model_config

TEXT = """
name: "resnet"
max_batch_size: 8
dynamic_batching { preferred_batch_size: 4 preferred_batch_size: 8 }
instance_group { kind: KIND_CPU count: 2 }
instance_group { kind: KIND_GPU }
parameters { key: "threads" value { string_value: "4" } }
"""


BASE = parsed(TEXT)
EMPTY = parsed("")


class TestRead:
    def test_file(self, tmp_path: Path) -> None:
        """A config.pbtxt is read as what it says."""
        path = tmp_path / "config.pbtxt"
        path.write_text(TEXT)
        assert model_config.read(path) == BASE

    def test_missing(self, tmp_path: Path) -> None:
        """A file that is not there is named, and the hint says what should be in it."""
        with pytest.raises(ModelError) as caught:
            model_config.read(tmp_path / "config.pbtxt")
        assert str(caught.value) == (
            f"{tmp_path}/config.pbtxt: a model configuration was expected, but: "
            "No such file or directory"
        )
        assert caught.value.hint == "write one: Triton's model_configuration.md describes it"

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"max_batch_size: many", "1:17 : 'max_batch_size: many': Couldn't parse"),
            (b"name: 'a'\nbatch: 8", '2:1 : Message type "inference.ModelConfig" has no field'),
            (b"{", "1:1 : "),
            (b"\xff\xfe", "1:1 : Message type"),
        ],
    )
    def test_garbage(self, tmp_path: Path, content: bytes, complaint: str) -> None:
        """A file that is no configuration is refused with the place of the mistake."""
        path = tmp_path / "config.pbtxt"
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            model_config.read(path)
        assert str(caught.value).startswith(f"{path}: is not a model configuration: {complaint}")
        assert caught.value.hint == (
            "correct that line; `input { ... }` and `max_batch_size: 8` are the form"
        )


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf# by an editor\nmax_batch_size: 8\n",
        "# größer\nmax_batch_size: 8\n".encode("latin-1"),
        "# größer 日本\nmax_batch_size: 8\n".encode(),
        b"# from Windows\r\nmax_batch_size: 8\r\n",
        b"# from an old Mac\rmax_batch_size: 8\r",
    ],
)
def test_encodings(tmp_path: Path, content: bytes) -> None:
    """Comments are in any encoding, and lines end as on any system."""
    path = tmp_path / "config.pbtxt"
    path.write_bytes(content)
    assert model_config.read(path) == parsed("max_batch_size: 8")


class TestFromServer:
    def test_round_trip(self) -> None:
        """What is sent as JSON comes back as the same message; fields of newer servers pass."""
        content = json.loads(model_config.as_json(BASE))
        assert content["max_batch_size"] == 8
        assert model_config.from_server({**content, "of_a_newer_server": 1}) == BASE

    def test_garbage(self) -> None:
        """An answer that is no configuration is the server's fault."""
        with pytest.raises(ServerError, match="the server's model configuration is none: Failed"):
            model_config.from_server({"max_batch_size": "many"})


def test_text() -> None:
    """The text is a config.pbtxt: it reads back as the same message."""
    assert parsed(model_config.as_text(BASE)) == BASE
    assert "\n" not in model_config.as_json(BASE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "resnet"),
        ("max_batch_size", 8),
        ("dynamic_batching", True),
        ("dynamic_batching.preferred_batch_size[0]", 4),
        ("dynamic_batching.preferred_batch_size[1]", 8),
        ("dynamic_batching.preferred_batch_size[2]", None),
        ("dynamic_batching.preferred_batch_size", 4),
        ("dynamic_batching.preserve_ordering", False),
        ("instance_group[0].count", 2),
        ("instance_group[1].kind", "KIND_GPU"),
        ("instance_group[0]", True),
        ("instance_group[2].count", None),
        ("sequence_batching", None),
        ("sequence_batching.max_sequence_idle_microseconds", None),
        ("no_such_field", None),
        ("max_batch_size.of_what", None),
        ("parameters", None),
        ("parameters.threads", None),
    ],
)
def test_get(path: str, value: Value | None) -> None:
    """A value, an enumeration's name, True for a message that is there, None for all else."""
    assert model_config.get(BASE, path) == value


class TestChanged:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("max_batch_size", 32),
            ("name", "other"),
            ("dynamic_batching", True),
            ("dynamic_batching.max_queue_delay_microseconds", 100),
            ("dynamic_batching.preferred_batch_size[0]", 16),
            ("instance_group[0].count", 4),
            ("instance_group[0].kind", "KIND_CPU"),
            ("optimization.input_pinned_memory.enable", True),
        ],
    )
    @pytest.mark.parametrize("base", [BASE, EMPTY], ids=["full", "empty"])
    def test_set(self, base: Message, path: str, value: Value) -> None:
        """A value is read back from where it was put; the original stays what it was."""
        before = base.SerializeToString()
        message = model_config.changed(base, {path: value})
        assert model_config.get(message, path) == value
        assert base.SerializeToString() == before

    @pytest.mark.parametrize("absent", [None, False])
    @pytest.mark.parametrize(
        ("path", "without"),
        [
            ("max_batch_size", "max_batch_size: 8"),
            ("dynamic_batching", "dynamic_batching { preferred_batch_size: [4, 8] }"),
            ("dynamic_batching.preferred_batch_size[0]", "preferred_batch_size: [4, 8]"),
            ("instance_group[0].count", "count: 2"),
        ],
    )
    def test_take_out(self, path: str, without: str, absent: bool | None) -> None:  # noqa: FBT001 - a value of a parameter
        """False and None take the field out, a list as a whole."""
        text = TEXT.replace("preferred_batch_size: 4 preferred_batch_size: 8", "@")
        text = text.replace("@", "preferred_batch_size: [4, 8]")
        assert without in text
        assert model_config.changed(BASE, {path: absent}) == parsed(text.replace(without, ""))

    @pytest.mark.parametrize(
        "path",
        ["dynamic_batching.preferred_batch_size[0]", "instance_group[0].count", "max_batch_size"],
    )
    def test_take_out_of_nothing(self, path: str) -> None:
        """To take a field out brings nothing in: batching does not begin by that."""
        assert model_config.changed(EMPTY, {path: None}) == EMPTY

    def test_list_entries(self) -> None:
        """An entry is replaced or put at the end, others stay."""
        paths = {f"dynamic_batching.preferred_batch_size[{n}]": n for n in (1, 2)}
        message = model_config.changed(BASE, paths)
        assert "preferred_batch_size: 4\n  preferred_batch_size: 1\n  preferred_batch_size: 2" in (
            model_config.as_text(message)
        )

    def test_next_message(self) -> None:
        """A group after the last one joins the list."""
        message = model_config.changed(BASE, {"instance_group[2].count": 3})
        assert model_config.get(message, "instance_group[2].count") == 3

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            ("max_batch_size", "x", "'str' object cannot be interpreted as an integer"),
            ("max_batch_size", 2.5, "'float' object cannot be interpreted as an integer"),
            ("max_batch_size", 2**40, "Value out of range: 1099511627776"),
            ("max_batchsize", 8, "there is no field `max_batchsize`; did you mean `max_batch_siz"),
            ("dynamic_batching.x", 8, "there is no field `x`; known: `preferred_batch_size`,"),
            ("max_batch_size.x", 1, "`max_batch_size` is a value and has no field `x`"),
            (
                "dynamic_batching.preferred_batch_size[0].x",
                1,
                "`preferred_batch_size` is a value and has no field `x`",
            ),
            (
                "dynamic_batching.preferred_batch_size[5]",
                1,
                "`preferred_batch_size` has 2 entries, so there can be no [5]",
            ),
            (
                "instance_group[1000000000].count",
                1,
                "`instance_group` has 2 entries, so there can be no [1000000000]",
            ),
            ("instance_group[0].kind", "KIND_X", 'unknown enum label "KIND_X"'),
            ("instance_group", True, ""),
            (
                "parameters.threads",
                "4",
                "`parameters` is a map: `parameters[KEY].FIELD` is one of its values",
            ),
            (
                "parameters[threads]",
                "4",
                "`parameters` is a map: `parameters[KEY].FIELD` is one of its values",
            ),
            (
                "optimization.execution_accelerators.cpu_execution_accelerator[0].parameters[a].b",
                "4",
                "`parameters` is a map: `parameters[KEY]` is one of its values",
            ),
            (
                "instance_group[x].count",
                1,
                "`instance_group` is a list, so `[x]` must be a number",
            ),
        ],
    )
    def test_refused(self, path: str, value: Value, complaint: str) -> None:
        """What the message cannot hold is refused with the path, the value and the reason."""
        with pytest.raises(SpaceError) as caught:
            model_config.changed(BASE, {path: value})
        assert str(caught.value).startswith(
            f"the model configuration cannot hold {path} = {value!r}: {complaint}"
        )
        assert caught.value.hint == "correct `sets` in the search space file"

    @pytest.mark.parametrize(
        "path", ["", ".", "a..b", "Instance", "a[", "a[-1]", "a[x y]", "a[0]b", "a b", "a[0][1]"]
    )
    def test_no_path(self, path: str) -> None:
        """What is no path is said to be none, with one as an example."""
        with pytest.raises(SpaceError) as caught:
            model_config.changed(BASE, {path: 1})
        assert str(caught.value) == f"`{path}` is not a path into a model configuration"
        assert caught.value.hint == (
            "for example: `instance_group[0].count` or "
            "`parameters[INTRA_OP_THREAD_COUNT].string_value`"
        )


class TestMaps:
    @pytest.mark.parametrize(
        ("value", "text"), [(True, "true"), (False, "false"), (4, "4"), ("a", "a")]
    )
    def test_an_entry_is_a_text(self, value: Value, text: str) -> None:
        """Parameters of backends are texts, whatever they mean; `false` is one of them."""
        path = "parameters[KEY].string_value"
        changed = model_config.changed(BASE, {path: value})
        assert model_config.get(changed, path) == text
        assert f'key: "KEY"\n  value {{\n    string_value: "{text}"' in model_config.as_text(
            changed
        )

    @pytest.mark.parametrize(("value", "text"), [("FP16", "FP16"), (True, "true"), (4, "4")])
    def test_an_entry_that_is_a_text_itself(self, value: Value, text: str) -> None:
        """Parameters of accelerators are texts without a message around them."""
        name = "optimization.execution_accelerators.gpu_execution_accelerator[0].name"
        path = name.replace("name", "parameters[precision_mode]")
        changed = model_config.changed(BASE, {name: "tensorrt", path: value})
        assert model_config.get(changed, path) == text
        assert f'key: "precision_mode"\n        value: "{text}"' in model_config.as_text(changed)

        left = model_config.changed(changed, {path: None})
        assert model_config.get(left, path) is None
        assert model_config.changed(left, {path: None}) == left

    def test_an_entry_is_taken_out(self) -> None:
        """None takes the entry out, and others stay; what is not there cannot be taken out."""
        one, two = (f"parameters[{key}].string_value" for key in ("ONE", "TWO"))
        both = model_config.changed(BASE, {one: "1", two: "2"})
        left = model_config.changed(both, {one: None})
        assert (model_config.get(left, one), model_config.get(left, two)) == (None, "2")
        assert model_config.changed(left, {one: None}) == left
