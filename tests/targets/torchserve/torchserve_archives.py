"""Model archives of TorchServe, as its archiver makes them or as nobody should."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tuner.errors import ModelError
from tuner.targets.torchserve.model import ArchiveModel

MANIFEST, YAML = "MAR-INF/MANIFEST.json", "model-config.yaml"
MADE_BY = "`torch-model-archiver` makes one"
OWN = {
    "minWorkers": 3,
    "maxWorkers": 3,
    "batchSize": 24,
    "maxBatchDelay": 30,
    "responseTimeout": 60,
    "handler": {"labels": ["a", "b"]},
}


def manifest(**model: object) -> str:
    """As torch-model-archiver 0.12 writes it."""
    described = {
        "modelName": "m",
        "serializedFile": "m.pt",
        "handler": "handler.py",
        "modelVersion": "2.1",
        "configFile": YAML,
        **model,
    }
    content = {
        "createdOn": "27/11/2026 10:14:30",
        "runtime": "python",
        "model": {name: value for name, value in described.items() if value is not None},
        "archiverVersion": "0.12.0",
    }
    return json.dumps(content, indent=2)


def write_archive(
    folder: Path, config: object = None, *, name: str = "m", files: Mapping[str, str] | None = None
) -> Path:
    """An archive; `config` is its YAML, as a text or to be made one. `files` replace its own."""
    folder.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    content = {"m.pt": "weights", "handler.py": "pass\n", YAML: text, MANIFEST: manifest()}
    if config is None:
        content[MANIFEST] = manifest(configFile=None)
        del content[YAML]
    with zipfile.ZipFile(folder / f"{name}.mar", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**content, **(files or {})}.items():
            archive.writestr(path, data)
    return folder / f"{name}.mar"


def refusal(archive: Path) -> tuple[str, str]:
    """Message and hint."""
    with pytest.raises(ModelError) as caught:
        ArchiveModel(archive)
    return caught.value.message, caught.value.hint
