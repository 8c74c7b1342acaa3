"""Models that are programs: whoever has a server load one runs it."""

from pathlib import Path

import pytest

from tuner.service.access.code import code_in, named_as_code


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.onnx", ""),
        ("model.onnx_data", ""),
        ("labels.txt", ""),
        ("model.xml", ""),
        ("model.bin", ""),
        ("MODEL.PT", "TorchScript"),
        ("model.mar", "an archive of TorchServe"),
        ("model.py", "Python"),
        ("libtriton_x.so", "a library"),
        ("libtriton_x.so.1.2", "a library"),
        ("model.plan", "an engine of TensorRT"),
        ("model.savedmodel", "a TensorFlow model"),
        ("saved_model.pb", "a TensorFlow model"),
        ("weights.pkl", "a pickle"),
    ],
)
def test_models_that_are_programs_are_known_by_their_names(name: str, kind: str) -> None:
    """In upper and in lower case."""
    assert named_as_code(Path(name)) == kind


@pytest.mark.parametrize(
    ("configuration", "what"),
    [
        ("", ""),
        ('backend: "onnxruntime" max_batch_size: 8', ""),
        ('platform: "onnxruntime_onnx" input { name: "/a/b" data_type: TYPE_FP32 dims: 1 }', ""),
        ('platform: "ensemble"', ""),
        ('backend: "python"', "m/config.pbtxt: the backend `python`"),
        ('backend: "../x"', "m/config.pbtxt: the backend `../x`"),
        ('platform: "pytorch_libtorch"', "m/config.pbtxt: the platform `pytorch_libtorch`"),
        (
            'model_operations { op_library_filename: "x" }',
            "m/config.pbtxt: `model_operations`, which are libraries",
        ),
        (
            'model_repository_agents { agents { name: "x" } }',
            "m/config.pbtxt: `model_repository_agents`, which are libraries",
        ),
        ('default_model_filename: "../x"', "m/config.pbtxt: a path out of its folder"),
        ('default_model_filename: "/x"', "m/config.pbtxt: a path out of its folder"),
        (
            'cc_model_filenames { key: "8.0" value: "/x" }',
            "m/config.pbtxt: a path out of its folder",
        ),
        (
            (
                "optimization { execution_accelerators { gpu_execution_accelerator { "
                'name: "tensorrt" parameters { key: "trt_engine_cache_path" value: "/x" } } } }'
            ),
            "m/config.pbtxt: a path out of its folder",
        ),
    ],
)
def test_a_configuration_of_triton_may_have_something_run(
    tmp_path: Path, configuration: str, what: str
) -> None:
    """Backends but those of data, libraries, and paths to elsewhere."""
    (tmp_path / "m/1").mkdir(parents=True)
    (tmp_path / "m/1/model.onnx").touch()
    (tmp_path / "m/config.pbtxt").write_text(configuration)

    assert code_in(tmp_path) == what


def test_a_configuration_of_hugging_face_may_name_code(tmp_path: Path) -> None:
    """Servers that trust remote code would load it from elsewhere."""
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "a/b--m.Model"}}')
    assert code_in(tmp_path) == "config.json: code that it names (`auto_map`)"
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert code_in(tmp_path) == ""
