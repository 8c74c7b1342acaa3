"""What requests carry: as a study keeps it, and for which servers it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.refusals import refused
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_form import OpenAiForm
from tuner.protocols.openai_task import Task
from tuner.protocols.v2 import V2Protocol
from tuner.protocols.v2_wire import SequenceForm
from tuner.targets.request_form import RequestForm
from tuner.workload.lengths import Constant, Uniform
from tuner.workload.synthetic import SyntheticForm

BODIES = st.lists(st.binary(max_size=4), min_size=1, max_size=3).map(tuple)


class TestPrompts:
    def test_a_record(self, tmp_path: Path) -> None:
        """Lengths as a person writes them; of a file its content counts, of headers nothing."""
        made_up = RequestForm(headers={"Authorization": "Bearer secret"}).of_prompts("x")
        assert made_up.as_record() == {
            "prompts": {
                "task": "chat",
                "streaming": True,
                "ignore_eos": True,
                "extra": {},
                "inputs": 1,
                "prompt_tokens": "256",
                "output_tokens": "128",
                "prefix_share": 0.0,
                "prompts": 64,
            },
            "headers": ["Authorization"],
        }
        file = tmp_path / "prompts.jsonl"
        records = []
        for text in ("a", "b"):
            file.write_text(f'{{"prompt": "{text}"}}')
            form = RequestForm(prompts=OpenAiForm(dataset=file)).of_prompts("x")
            records.append(form.as_record()["prompts"])
        assert records[0] != records[1]

    def test_a_tokenizer(self, tmp_path: Path) -> None:
        """Another one makes other prompts: its content counts."""
        records = []
        for text in ("{}", "[]"):
            (tmp_path / "tokenizer.json").write_text(text)
            records.append(OpenAiForm(tokenizer=tmp_path).as_record())
        assert records[0] != records[1]
        with refused(
            f"`--tokenizer {tmp_path / 'none'}` cannot be used: No such file or directory",
            "a model's `tokenizer.json` is expected, or its folder",
        ):
            OpenAiForm(tokenizer=tmp_path / "none").as_record()

    def test_they_are_for_language_models_alone(self) -> None:
        """The option that says something of them is named."""
        rerank = OpenAiForm(options=OpenAiOptions(task=Task.RERANK))
        message = "`--task` means nothing to {}, which is asked no prompts"
        for prompts in (rerank, OpenAiForm(task_said=True)):
            form = RequestForm(prompts=prompts)
            for fitted, name in (
                (form.of_tensors, "Triton"),
                (form.of_bodies, "TorchServe"),
                (form.of_nothing, "a space file"),
            ):
                with refused(message.format(name), "leave it out"):
                    fitted(name)

    def test_how_long_they_are_at_most(self, tmp_path: Path) -> None:
        """With what a chat puts around them; texts that nobody has counted are estimated."""
        lengths = SyntheticForm(prompt=Uniform(10, 50), output=Constant(20), count=100)
        assert 128 + 60 < OpenAiForm(synthetic=lengths).longest <= 128 + 70
        file = tmp_path / "prompts.jsonl"
        file.write_text(f'{{"prompt": "{"x" * 1000}", "output_tokens": 7}}')
        assert OpenAiForm(dataset=file).longest == 128 + 507

    @pytest.mark.parametrize(("task", "most"), [(Task.EMBEDDINGS, 532), (Task.RERANK, 1032)])
    def test_how_long_a_text_is_at_most(self, tmp_path: Path, task: Task, most: int) -> None:
        """It has no answer and marks around it; a question and a document are one text."""
        options = OpenAiOptions(task=task)
        lengths = SyntheticForm(prompt=Constant(500))
        file = tmp_path / "prompts.jsonl"
        file.write_text(f'{{"prompt": "{"x" * 1000}"}}')
        assert OpenAiForm(options=options, synthetic=lengths).longest == most
        assert OpenAiForm(options=options, dataset=file).longest == most


class TestAsRecord:
    def test_tensors(self) -> None:
        """Of tensors it is what was asked for, not what was made up."""
        form = RequestForm(batch=4, zero=True, shapes={"x": (3, 224)})

        assert form.as_record() == {"batch": 4, "data": "zero", "shapes": {"x": [3, 224]}}
        assert RequestForm().as_record() == {"batch": 1, "data": "random", "shapes": {}}

    def test_bodies(self) -> None:
        """Bodies may be large, and secret: their digest is kept, with how many there are."""
        record = RequestForm(bodies=(b"[1]", b"[2]"), content_type="application/json").as_record()

        digest = record.pop("digest")
        assert record == {"bodies": 2, "content_type": "application/json"}
        assert isinstance(digest, str)
        assert len(digest) == 10

    @pytest.mark.parametrize(
        "other",
        [
            RequestForm(bodies=(b"[2]", b"[1]")),
            RequestForm(bodies=(b"[1]",)),
            RequestForm(bodies=(b"[1]", b"[2]", b"")),
            RequestForm(bodies=(b"[1][2]", b"")),
            RequestForm(bodies=(b"[1]", b"[2]"), content_type="text/plain"),
            RequestForm(),
        ],
    )
    def test_others_are_told_apart(self, other: RequestForm) -> None:
        """Other bodies, another order or another content type are other requests."""
        assert other.as_record() != RequestForm(bodies=(b"[1]", b"[2]")).as_record()

    def test_bodies_of_any_bytes(self) -> None:
        """Where one body ends and the next begins counts, whatever bytes they have."""
        first, second = (RequestForm(bodies=bodies) for bodies in ((b"a\0", b"b"), (b"a", b"\0b")))
        assert first.as_record() != second.as_record()

    @given(BODIES, BODIES)
    def test_the_same_record_is_the_same_bodies(
        self, first: tuple[bytes, ...], second: tuple[bytes, ...]
    ) -> None:
        """Two forms have the same record if they ask for the same, and only then."""
        records = [RequestForm(bodies=bodies).as_record() for bodies in (first, second)]
        assert (records[0] == records[1]) is (first == second)

    def test_what_is_given(self, tmp_path: Path) -> None:
        """Files are known by what they hold, strings as they are, and headers by their names."""
        (tmp_path / "data.json").write_text('{"data": []}')
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "x").write_bytes(b"1")
        form = RequestForm(
            files=(tmp_path / "data.json", tmp_path / "folder"),
            parameters={"top_k": 5},
            headers={"Authorization": "Bearer secret"},
            protocol=V2Protocol.GRPC,
        )
        record = form.as_record()
        assert record.pop("files") != replace(form, files=form.files[:1]).as_record()["files"]
        assert record == {
            "batch": 1,
            "data": "files",
            "shapes": {},
            "parameters": {"top_k": 5},
            "headers": ["Authorization"],
            "protocol": "grpc",
        }
        assert RequestForm(string_data="{}").as_record()["string_data"] == "{}"
        before = form.as_record()
        (tmp_path / "folder" / "x").write_bytes(b"2")
        assert form.as_record() != before


BODIES_FOR_TRITON = "means nothing to Triton, which takes tensors"
TENSORS_HINT = "leave it out; `--input-data`, `--shape` and `--batch` say what is sent"
TENSORS_FOR_TORCHSERVE = "means nothing to TorchServe, which takes the bodies as they are"
NO_BODY = (
    "TorchServe takes requests of any form, so one must be given",
    "name a file that holds the body of a request: `--body FILE`; several are sent in turn",
)
FILE = Path("data.json")


class TestServers:
    def test_good(self) -> None:
        """A server of tensors takes what is said of them, others a body, which may be empty."""
        for tensors in (
            RequestForm(),
            RequestForm(batch=4, shapes={"x": (3,)}, parameters={"a": 1}),
            RequestForm(files=(FILE,), batch=2, protocol=V2Protocol.GRPC, headers={"a": "b"}),
        ):
            assert tensors.of_tensors("Triton") is tensors
        for bodies in ((b"x",), (b"", b"x")):
            form = RequestForm(bodies=bodies, content_type="text/plain", headers={"a": "b"})
            assert form.of_bodies("TorchServe") == form

    def test_bodies_in_files(self, tmp_path: Path) -> None:
        """perf_analyzer's JSON for TorchServe names the files that are sent."""
        (tmp_path / "one").write_bytes(b"1")
        file = tmp_path / "data.json"
        file.write_text('{"data": [{"TORCHSERVE_INPUT": ["one"]}]}')
        fitted = RequestForm(bodies=(b"0",), files=(file,)).of_bodies("TorchServe")
        assert fitted == RequestForm(bodies=(b"0", b"1"))

    @pytest.mark.parametrize(
        ("form", "said"),
        [
            # They would silently not be sent.
            (RequestForm(bodies=(b"x",)), (f"`--body` {BODIES_FOR_TRITON}", TENSORS_HINT)),
            (
                RequestForm(content_type="text/plain"),
                (f"`--content-type` {BODIES_FOR_TRITON}", TENSORS_HINT),
            ),
        ],
    )
    def test_not_for_tensors(self, form: RequestForm, said: tuple[str, str]) -> None:
        """What a server of tensors would ignore is told, with what to do."""
        with refused(*said):
            form.of_tensors("Triton")

    def test_parameters_are_of_v2(self) -> None:
        """TensorFlow Serving's requests have no parameters."""
        form = RequestForm(parameters={"a": 1})
        what = "TensorFlow Serving: it is of V2 inference"
        with refused(f"`--request-parameter` means nothing to {what}", "leave it out"):
            form.of_tensors("TensorFlow Serving", v2=False)

    @pytest.mark.parametrize(
        ("sequences", "option"),
        [
            (SequenceForm(count=3), "--num-of-sequences"),
            (SequenceForm(count=16, length=3), "--sequence-length"),
            (SequenceForm(count=16, variation=0.5), "--sequence-length-variation"),
            (SequenceForm(count=16, first_id=3), "--sequence-id-range"),
            (SequenceForm(count=16, ids=3), "--sequence-id-range"),
        ],
    )
    def test_sequences_are_of_v2(self, sequences: SequenceForm, option: str) -> None:
        """Nothing else has correlation ids."""
        form = RequestForm(sequences=sequences)
        with refused(f"`{option}` means nothing to TensorFlow Serving", "leave it out"):
            form.of_tensors("TensorFlow Serving", v2=False)
        with refused(f"`{option}` means nothing to TorchServe", "leave it out"):
            replace(form, bodies=(b"x",)).of_bodies("TorchServe")
        with refused(f"`{option}` means nothing to x", "leave it out"):
            form.of_nothing("x")

    @pytest.mark.parametrize(
        ("form", "option"),
        [
            (RequestForm(batch=4), "--batch"),
            (RequestForm(bodies=(b"x",), batch=2), "--batch"),
            (RequestForm(bodies=(b"x",), zero=True), "--input-data"),
            (RequestForm(bodies=(b"x",), shapes={"x": (3,)}), "--shape"),
            (RequestForm(bodies=(b"x",), string_data=""), "--string-data"),
            (RequestForm(bodies=(b"x",), parameters={"a": 1}), "--request-parameter"),
            (RequestForm(bodies=(b"x",), protocol=V2Protocol.GRPC), "--protocol"),
        ],
    )
    def test_not_for_bodies(self, form: RequestForm, option: str) -> None:
        """What says something of tensors changes nothing about a body."""
        with refused(f"`{option}` {TENSORS_FOR_TORCHSERVE}", "leave it out"):
            form.of_bodies("TorchServe")

    @pytest.mark.parametrize("form", [RequestForm(), RequestForm(content_type="text/plain")])
    def test_no_body(self, form: RequestForm) -> None:
        """Nobody can guess what a model takes that takes anything."""
        with refused(*NO_BODY):
            form.of_bodies("TorchServe")

    def test_nothing(self) -> None:
        """A space file says itself what is sent."""
        assert RequestForm().of_nothing("x") == RequestForm()
        with refused(
            "`--header` means nothing to x",
            "`serve.request` in that file says what is sent; leave it out",
        ):
            RequestForm(headers={"a": "b"}).of_nothing("x")
