"""Models that are programs: whoever has a server load one runs it."""

from pathlib import Path

import pytest

from tuner.errors import ModelError
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
        ("weights.ckpt", "a pickle"),
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


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("config.json pytorch_model.bin", "pytorch_model.bin: weights that may be a pickle"),
        ("config.json model.bin model.xml", "model.bin: weights that may be a pickle"),
        ("adapter.BIN", "adapter.BIN: weights that may be a pickle"),
        ("model.bin model.xml", ""),
        ("weights.bin model.onnx", ""),
        ("config.json model.safetensors", ""),
    ],
)
def test_weights_may_be_pickles(tmp_path: Path, names: str, what: str) -> None:
    """Those of OpenVINO and of ONNX Runtime have the same ending, and are data."""
    for name in names.split():
        (tmp_path / name).write_text("{}")
    assert code_in(tmp_path) == what


CODE = "code that it names (`auto_map`)"
TYPE = "code that it names (`type`)"
PICKLES = "weights that may be pickles (`weight_map`)"
MODULES = '[{"type": "sentence_transformers.models.Pooling"}, {"path": "1", "type": "%s"}]'


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("config.json", '{"model_type": "bert"}', ""),
        ("config.json", "no JSON", ""),
        ("config.json", '{"auto_map": {"AutoModel": "a/b--m.Model"}}', CODE),
        ("config.json", '{"text_config": {"auto\\u005fmap": {}}}', CODE),
        ("config.json", " " * 2**21 + '{"auto_map": {}}', CODE),
        ("config.json", "[" * 100_000, "nested deeper than any configuration is"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "1.safetensors"}}', ""),
        ("model.safetensors.index.json", '{"weight_map": {"a": "1.data"}}', PICKLES),
        ("modules.json", MODULES % "sentence_transformers.models.Dense", ""),
        ("modules.json", MODULES % "a/b--m.Model", TYPE),
        ("modules.json", MODULES % "sentence_transformers.SentenceTransformer.torch", TYPE),
        ("config.json", '{"types": {"a": "sentence_transformers.models.Dense"}}', ""),
        ("config.json", '{"types": {"a": "b.Model"}}', "code that it names (`types`)"),
    ],
    ids=range(13),
)
def test_what_configurations_of_hugging_face_name(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    """Code of elsewhere, wherever it stands and however it is written, and weights of any name."""
    (tmp_path / name).write_text(text)
    assert code_in(tmp_path) == (f"{name}: {what}" if what else "")


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    """What libraries follow is looked into."""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "weights.pt").touch()
    (model := tmp_path / "model").mkdir()
    (model / "1").symlink_to(elsewhere)
    assert code_in(model) == "1/weights.pt: TorchScript"


def test_a_configuration_of_any_size(tmp_path: Path) -> None:
    """What is too large to be looked at is refused."""
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ModelError, match=r"`config\.json` has more than 67,108,864 bytes"):
        code_in(tmp_path)


@pytest.mark.parametrize("part", ["[],", "{},", "0,"])
def test_a_configuration_of_any_number_of_values(tmp_path: Path, part: str) -> None:
    """What is small as a file, but would fill the memory once it is read, is refused before."""
    (tmp_path / "config.json").write_text("[" + part * 5_000_000 + "0]")
    with pytest.raises(ModelError, match=r"`config\.json` has more than 5,000,000 values"):
        code_in(tmp_path)
