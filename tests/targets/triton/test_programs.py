"""Bare model files on a real Triton: they answer as their library does, and heed what it heeds."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runners.base import RunningServer
from tests.targets import model_files as files
from tests.targets.triton.triton_targets import Served, built_in, infer, served
from tuner.load.requests import TensorSpec
from tuner.records import Applied
from tuner.space.expressions import Value
from tuner.study.deployment import Deployment
from tuner.study.outputs import check_outputs, distance
from tuner.targets.base import ModelSource
from tuner.targets.process_proofs import CONFIRMED, refuted
from tuner.targets.triton import one_file as triton_files
from tuner.targets.triton.one_file import FileModel

X = TensorSpec("x", "FP32", (-1, files.FEATURES))
LIBRARIES = {".onnx": files.computed_by_onnxruntime, ".pt": files.computed_by_torch}
BATCHING: dict[str, Value] = {
    "dynamic_batching": True,
    "max_batch_size": 8,
    "max_queue_delay_microseconds": 1_000_000,
}


def opened(path: Path, *inputs: TensorSpec) -> FileModel:
    return triton_files.open_file(path, ModelSource(inputs=inputs))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def onnx(folder: Path) -> Served:
    return served(folder, opened(files.mlp(folder / "mlp.onnx")))


@pytest.fixture(scope="module")
def torch(folder: Path) -> Served:
    return served(folder, opened(files.torchscript(folder / "mlp.pt"), X))


@pytest.fixture(scope="module")
def onnx_deployment(onnx: Served) -> Iterator[Deployment]:
    with onnx.deployment() as deployment:
        yield deployment


@pytest.fixture(scope="module")
def torch_deployment(torch: Served) -> Iterator[Deployment]:
    with torch.deployment() as deployment:
        yield deployment


@pytest.fixture(params=[".onnx", ".pt"])
def form(request: pytest.FixtureRequest) -> tuple[Served, Deployment, str]:
    """The two layers as each kind of file."""
    name = "onnx" if request.param == ".onnx" else "torch"
    return (
        request.getfixturevalue(name),
        request.getfixturevalue(f"{name}_deployment"),
        request.param,
    )


Form = tuple[Served, Deployment, str]


class TestAnswers:
    def test_as_the_library(self, form: Form, folder: Path) -> None:
        """A request, alone or with several inferences, is answered as the library answers."""
        served_, deployment, ending = form
        deployment.apply(served_.configuration())
        for count in (1, 5):
            x = files.features(count)
            [output] = infer(deployment.server, "mlp", x=x).values()
            [expected] = LIBRARIES[ending](folder / f"mlp{ending}", x)
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)

    def test_each_request_of_a_batch_gets_its_own_answer(self, form: Form, folder: Path) -> None:
        """Requests of several sizes that the server joins are taken apart again."""
        served_, deployment, ending = form
        deployment.apply(served_.configuration(**BATCHING))
        server = deployment.server
        before = served_.target.statistics(server)
        given = [files.features(1 + n % 3, seed=n) for n in range(12)]
        with ThreadPoolExecutor(len(given)) as pool:
            answers = list(pool.map(lambda x: infer(server, "mlp", x=x), given))
        spent = served_.target.statistics(server) - before
        assert max(spent.batches) > 3
        for x, answer in zip(given, answers, strict=True):
            [expected] = LIBRARIES[ending](folder / f"mlp{ending}", x)
            [output] = answer.values()
            np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)

    def test_int8(self, onnx: Served, onnx_deployment: Deployment, folder: Path) -> None:
        """The int8 form is computed in int8: as the library, and a little off the original."""
        onnx_deployment.apply(onnx.configuration())
        path = files.int8(folder / "mlp.onnx", folder / "int8.onnx")
        onnx.add(onnx_deployment.server, opened(path))
        x = files.features(4)
        output = infer(onnx_deployment.server, "int8", x=x)["y"]
        [expected] = files.computed_by_onnxruntime(path, x)
        [original] = files.computed_by_onnxruntime(folder / "mlp.onnx", x)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
        assert 0 < np.abs(output - original).max() < 0.05 * np.abs(original).max()


def numbers(*shape: int, kind: str = "f4") -> NDArray[Any]:
    return np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape).astype(kind)


def single_numbers(path: Path) -> Path:
    """One number of each inference, and one back."""
    return files.onnx_model(
        path, [("Neg", "x", "y")], [("x", "FLOAT", ("n",))], [("y", "FLOAT", ("n",))]
    )


def whole_numbers(path: Path) -> Path:
    """Two inputs of whole numbers, whose outputs are a sum and a comparison."""
    return files.onnx_model(
        path,
        [("Add", "a b", "sum"), ("Less", "a b", "less")],
        [("a", "INT64", ("n", 3)), ("b", "INT64", ("n", 3))],
        [("sum", "INT64", ("n", 3)), ("less", "BOOL", ("n", 3))],
    )


def no_batch(path: Path) -> Path:
    """No batch dimension, and a result without any dimension."""
    return files.onnx_model(
        path,
        [("Neg", "x", "y"), ("ReduceSum", "x", "all"), ("Squeeze", "all", "total")],
        [("x", "FLOAT", (2, 3))],
        [("y", "FLOAT", (2, 3)), ("total", "FLOAT", ())],
    )


def dictionary(path: Path) -> Path:
    """TorchScript with two inputs and a dictionary of outputs."""
    one = numbers(2, 3, kind="i8")
    return files.traced(
        path, lambda a, b: {"z": (a * b).double(), "m": a.sum(1) > 8}, one, one.astype("f4")
    )


class TestOddModels:
    @pytest.mark.parametrize(
        ("make", "inputs", "given", "expected"),
        [
            pytest.param(
                single_numbers, (), {"x": numbers(4, 1)}, {"y": -numbers(4, 1)}, id="numbers"
            ),
            pytest.param(
                whole_numbers,
                (),
                {"a": numbers(2, 3, kind="i8"), "b": 5 - numbers(2, 3, kind="i8")},
                {"sum": np.full((2, 3), 5), "less": numbers(2, 3) < 2.5},
                id="whole-numbers",
            ),
            pytest.param(
                no_batch,
                (),
                {"x": numbers(2, 3)},
                {"y": -numbers(2, 3), "total": np.array([21.0])},
                id="no-batch",
            ),
            pytest.param(
                dictionary,
                (TensorSpec("a", "INT64", (-1, 3)), TensorSpec("b", "FP32", (-1, 3))),
                {"a": numbers(2, 3, kind="i8"), "b": numbers(2, 3)},
                {
                    "OUTPUT__0": numbers(2, 3, kind="f8") ** 2,
                    "OUTPUT__1": np.array([[False], [True]]),
                },
                id="dictionary",
            ),
        ],
    )
    def test_answers(
        self,
        onnx: Served,
        onnx_deployment: Deployment,
        tmp_path: Path,
        make: Callable[[Path], Path],
        inputs: tuple[TensorSpec, ...],
        given: dict[str, NDArray[Any]],
        expected: dict[str, NDArray[Any]],
    ) -> None:
        """Every form of inputs and outputs that a file may have goes through Triton whole."""
        onnx_deployment.apply(onnx.configuration())
        path = make(tmp_path / f"{make.__name__}{'.pt' if inputs else '.onnx'}")
        onnx.add(onnx_deployment.server, opened(path, *inputs))
        answer = infer(onnx_deployment.server, make.__name__, **given)
        assert answer.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(answer[name], array)

    def test_weights_beside_the_file(
        self, onnx: Served, onnx_deployment: Deployment, tmp_path: Path
    ) -> None:
        """An ONNX file that keeps its weights beside it finds them in the repository."""
        onnx_deployment.apply(onnx.configuration())
        path = files.mlp(tmp_path / "large.onnx", external="large.onnx.data")
        onnx.add(onnx_deployment.server, opened(path))
        x = files.features(2)
        [expected] = files.computed_by_onnxruntime(path, x)
        answer = infer(onnx_deployment.server, "large", x=x)["y"]
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


def test_forms_of_both_kinds(folder: Path) -> None:
    """An ONNX file and a TorchScript file of the same weights are the same to whoever asks."""
    paths = files.mlp(folder / "both.onnx"), files.torchscript(folder / "both.pt")
    source = ModelSource(variants=(str(paths[1]),))
    both = served(folder, triton_files.open_file(paths[0], source))
    with both.deployment() as deployment:
        deployment.apply(both.configuration())
        [golden] = both.target.infer(deployment.server)
        configuration = both.configuration(variant="both_pt")
        assert deployment.apply(configuration) is Applied.RELOAD
        verdicts = both.target.verify(deployment.server, configuration)
        [other] = both.target.infer(deployment.server)
    assert verdicts["variant"] == CONFIRMED
    check_outputs(golden, other)
    assert 0 <= distance(golden, other) < 1e-4


def said(server: RunningServer, words: str) -> bool:
    return f"{words} for model instance 'mlp_0" in server.log_tail(2000)


class TestOnnxParameters:
    def test_heeded_and_told(self, onnx: Served, onnx_deployment: Deployment) -> None:
        """What the session was made with is in the log, which confirms each parameter."""
        onnx_deployment.apply(onnx.configuration())
        values: dict[str, Value] = {
            "intra_op_thread_count": 1,
            "inter_op_thread_count": 2,
            "execution_mode": 1,
            "memory_arena": 0,
            "memory_pattern": 0,
            "graph_optimization": 2,
        }
        configuration = onnx.configuration(**values)
        assert onnx_deployment.apply(configuration) is Applied.RELOAD
        server = onnx_deployment.server
        for words in (
            "intra_op_thread_count is 1",
            "inter_op_thread_count is 2",
            "execution_mode is 1",
            "enable_mem_arena is 0",
            "enable_mem_pattern is 0",
        ):
            assert said(server, words)
        verdicts = onnx.target.verify(server, configuration)
        assert {name: verdicts[name] for name in values} == dict.fromkeys(values, CONFIRMED)

    def test_refuted(self, onnx: Served, onnx_deployment: Deployment) -> None:
        """A value that the session was not made with is refuted, whatever the server echoes."""
        applied, meant = (onnx.configuration(intra_op_thread_count=n) for n in (2, 1))
        onnx_deployment.apply(applied)
        verdict = onnx.target.verify(onnx_deployment.server, meant)["intra_op_thread_count"]
        assert verdict == refuted(
            "the server has parameters[intra_op_thread_count].string_value = 2"
        )

    def test_every_graph_level_loads(self, onnx: Served, onnx_deployment: Deployment) -> None:
        """All levels of the space give the same answers, and the server confirms each."""
        answers = []
        for level in (0, -1, 1, 2):
            configuration = onnx.configuration(graph_optimization=level)
            onnx_deployment.apply(configuration)
            server = onnx_deployment.server
            answers.append(infer(server, "mlp", x=files.features(3))["y"])
            if level:
                verdicts = onnx.target.verify(server, configuration)
                assert verdicts["graph_optimization"] == CONFIRMED
        for answer in answers[1:]:
            np.testing.assert_allclose(answer, answers[0], rtol=1e-4, atol=1e-5)

    def test_threads_of_the_environment(self, folder: Path) -> None:
        """Where the space sets the variable for all libraries, the session has as many threads."""
        mixed = served(folder, opened(files.mlp(folder / "mlp.onnx")), searched=built_in())
        with mixed.deployment() as deployment:
            deployment.apply(mixed.configuration(threads=1))
            assert said(deployment.server, "intra_op_thread_count is 1")


class TestPytorchParameters:
    def test_heeded_and_told(self, torch: Served, torch_deployment: Deployment) -> None:
        """Each is told in the words of Triton's own backend, which confirm it.

        Flags of the model are taken over by a reload, those of the process by a restart.
        """
        values: dict[str, Value] = {
            "inference_mode": False,
            "disable_optimized_execution": True,
            "jit_executor": False,
            "jit_profiling": False,
            "tensor_fuser": True,
        }
        own = ("inference_mode", "disable_optimized_execution")
        threads: dict[str, Value] = {"intra_op_threads": 1, "inter_op_threads": 2}
        torch_deployment.apply(torch.configuration(**threads))
        of_the_model = torch.configuration(**threads, **{name: values[name] for name in own})
        assert torch_deployment.apply(of_the_model) is Applied.RELOAD
        configuration = torch.configuration(**threads, **values)
        assert torch_deployment.apply(configuration) is Applied.RESTART
        server = torch_deployment.server
        for words in (
            "Inference Mode is disabled",
            "Optimized execution is disabled",
            "Jit executor is disabled",
            "Jit profiling is disabled",
            "Tensor fuser is enabled",
            "Intra op thread count is set to 1",
            "Inter op thread count is set to 2",
        ):
            assert said(server, words)
        verdicts = torch.target.verify(server, configuration)
        wanted = {**values, **threads}
        assert {name: verdicts[name] for name in wanted} == dict.fromkeys(wanted, CONFIRMED)
        two = torch.configuration(**{**wanted, "intra_op_threads": 2})
        assert torch_deployment.apply(two) is Applied.RESTART
