"""What requests carry: as a study keeps it, and for which servers it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.refusals import refused
from tuner.load.requests import TensorSpec
from tuner.targets.request_form import RequestForm

BODIES = st.lists(st.binary(max_size=4), min_size=1, max_size=3).map(tuple)


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


NOT_BODIES = (
    "`--body` and `--content-type` are for servers that take any body, but Triton takes tensors",
    "leave them out; `--input-data`, `--shape` and `--batch` say what is sent",
)
NO_BODY = (
    "TorchServe takes requests of any form, so one must be given",
    "name a file that holds the body of a request: `--body FILE`; several are sent in turn",
)
NOT_TENSORS = (
    (
        "`--batch`, `--input-data` and `--shape` are for servers of tensors, but TorchServe takes "
        "the bodies as they are"
    ),
    "leave them out",
)


class TestChecks:
    def test_good(self) -> None:
        """A server of tensors takes what is said of them, others a body, which may be empty."""
        for tensors in (RequestForm(), RequestForm(batch=4, shapes={"x": (3,)})):
            tensors.check_tensors("Triton")
        for bodies in ((b"x",), (b"", b"x")):
            RequestForm(bodies=bodies, content_type="text/plain").check_bodies("TorchServe")
            RequestForm(bodies=bodies).check_bodies("TorchServe")

    @pytest.mark.parametrize(
        ("form", "said"),
        [
            (RequestForm(bodies=(b"x",)), NOT_BODIES),  # they would silently not be sent
            (RequestForm(content_type="text/plain"), NOT_BODIES),
            (RequestForm(bodies=(b"x",), content_type="text/plain"), NOT_BODIES),
            (RequestForm(), NO_BODY),  # nobody can guess what a model takes that takes anything
            (RequestForm(content_type="text/plain"), NO_BODY),
            (RequestForm(batch=4), NO_BODY),
            (RequestForm(bodies=(b"x",), batch=2), NOT_TENSORS),  # it would change nothing
            (RequestForm(bodies=(b"x",), zero=True), NOT_TENSORS),
            (RequestForm(bodies=(b"x",), shapes={"x": (3,)}), NOT_TENSORS),
        ],
    )
    def test_refused(self, form: RequestForm, said: tuple[str, str]) -> None:
        """What a server would ignore, or cannot do without, is told with what to do."""
        with refused(*said):
            if said is NOT_BODIES:
                form.check_tensors("Triton")
            else:
                form.check_bodies("TorchServe")


class TestInputs:
    SPECS = (TensorSpec("x", "FP32", (-1, -1, 4)),)

    def test_batched(self) -> None:
        """The batch dimension is the request's batch, open dimensions come from the form."""
        form = RequestForm(batch=2, shapes={"x": (5, 4)})
        [x] = form.inputs(self.SPECS, batched=True, seed=1)
        assert x.shape == (2, 5, 4)

    def test_zero(self) -> None:
        """Zero data is zero; the seed then changes nothing."""
        specs = (TensorSpec("x", "FP32", (3,)),)
        [x] = RequestForm(zero=True).inputs(specs, batched=False, seed=1)
        assert (x.shape, x.data) == ((3,), bytes(12))

    def test_batch_without_dimension(self) -> None:
        """A batch that the model cannot take would be counted, but never sent: refused."""
        with refused(
            "`--batch 4` was given, but the model has no batch dimension",
            "leave `--batch` out, or give the model one (Triton: `max_batch_size` in "
            "config.pbtxt)",
        ):
            RequestForm(batch=4).inputs(self.SPECS, batched=False, seed=1)
