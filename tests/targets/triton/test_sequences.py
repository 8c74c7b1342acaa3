"""Stateful and decoupled models of Triton: what varies of them, what is sent, what is compared."""

from pathlib import Path

import numpy as np
import pytest

from tests.refusals import refused
from tests.targets.triton.triton_targets import built_in, served, write_model
from tuner.protocols.tensors.values import to_array
from tuner.space.space import SearchSpace
from tuner.targets.request_form import RequestForm
from tuner.targets.triton.repository import RepositoryModel

MODELS = Path(__file__).parents[2] / "models"
SHARED = {"instance_count", "threads"}
DIRECT = {"direct_queue_delay_microseconds", "minimum_slot_utilization"}
OLDEST = {"max_candidate_sequences", "oldest_queue_delay_microseconds"}


def adapted(folder: Path, config: str) -> SearchSpace:
    write_model(folder, config=config)
    model = RepositoryModel(folder, "m")
    assert model.space == "triton_sequence"
    return model.adapt(built_in("triton_sequence"))


@pytest.mark.parametrize(
    ("config", "own"),
    [
        ("max_batch_size: 8 sequence_batching { }", DIRECT),
        ("sequence_batching { direct { } }", DIRECT),
        ("max_batch_size: 8 sequence_batching { oldest { } }", OLDEST),
        (
            "max_batch_size: 16 sequence_batching { oldest { } }",
            {*OLDEST, "oldest_preferred_batch_size"},
        ),
    ],
)
def test_each_strategy_has_its_parameters(tmp_path: Path, config: str, own: set[str]) -> None:
    """A sequence batcher is direct unless it says otherwise; no size exceeds the model's."""
    assert {each.name for each in adapted(tmp_path, config).parameters} == SHARED | own


def test_the_models_own_settings_are_the_defaults(tmp_path: Path) -> None:
    """As of any other model."""
    space = adapted(
        tmp_path,
        "sequence_batching { oldest { max_candidate_sequences: 5 "
        "max_queue_delay_microseconds: 700 } }",
    )
    assert space["max_candidate_sequences"].default == 5
    assert space["oldest_queue_delay_microseconds"].default == 700


def test_correlation_ids_that_are_texts(tmp_path: Path) -> None:
    """The load engine numbers its sequences: what cannot be sent is told before a start."""
    control = "control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING }"
    with refused(
        "the model `m` takes texts as correlation ids, but sequences are sent with numbers",
        "let its control input be of a type such as TYPE_UINT64",
    ):
        adapted(tmp_path, f'sequence_batching {{ control_input {{ name: "C" {control} }} }}')


def test_a_stateful_model(tmp_path: Path) -> None:
    """Its parameters are confirmed, and askers at once play sequences that do not mix."""
    accumulate = served(tmp_path, RepositoryModel(MODELS, "accumulate"))
    configuration = accumulate.configuration(
        max_candidate_sequences=16, oldest_queue_delay_microseconds=500
    )
    with accumulate.deployment() as deployment:
        deployment.apply(configuration)
        verdicts = accumulate.target.verify(deployment.server, configuration)
        answers = accumulate.target.infer(deployment.server, count=3)
        requests = accumulate.target.requests(deployment.server)
    assert {name: verdicts[name].grade.value for name in OLDEST} == dict.fromkeys(
        OLDEST, "confirmed"
    )
    assert len(set(answers)) == 1
    outputs = {each.name: to_array(each) for each in answers[0]}
    sums = [outputs["OUTPUT"], *(outputs[f"OUTPUT of step {n}"] for n in (2, 3, 4))]
    assert np.all(np.diff(np.ravel(sums)) >= 0)
    assert outputs["STEP of step 4"] == 4
    assert requests.payloads == ()
    assert requests.sequences is not None
    assert (requests.sequences.count, requests.sequences.length) == (16, 20)


@pytest.mark.parametrize(
    ("name", "form", "remarks"),
    [
        (
            "accumulate",
            RequestForm(),
            ("requests are steps of sequences: each has about 20 made-up steps",),
        ),
        (
            "accumulate",
            RequestForm(files=(Path("data.json"),)),
            ("requests are steps of sequences: each has the steps of a stream of the data",),
        ),
        (
            "repeat",
            RequestForm(),
            ("requests go over gRPC streams; a latency ends with the last response",),
        ),
        ("echo", RequestForm(), ()),
    ],
)
def test_what_is_told_of_requests(name: str, form: RequestForm, remarks: tuple[str, ...]) -> None:
    """A person who plans a study sees what a request is, where that is no single question."""
    assert RepositoryModel(MODELS, name).remarks(form) == remarks


def test_a_decoupled_model(tmp_path: Path) -> None:
    """It is asked over gRPC streams, whatever the study speaks; all its responses are compared."""
    repeat = served(tmp_path, RepositoryModel(MODELS, "repeat"))
    with repeat.deployment() as deployment:
        deployment.apply(repeat.configuration())
        [outputs] = repeat.target.infer(deployment.server)
        requests = repeat.target.requests(deployment.server)
        endpoint = repeat.target.endpoint(deployment.server)
        assert endpoint.port == deployment.server.ports["grpc"]
    numbers = [int(to_array(each)[0]) for each in outputs]
    assert numbers == list(range(len(numbers)))
    assert [each.name for each in outputs[:2]] == ["OUT", "OUT of response 2"]
    assert requests.call is not None
    assert requests.call.stream is not None
