"""Archives that are none, or damaged: refused with what is wrong, never with a traceback."""

import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.targets.torchserve.torchserve_archives import (
    MADE_BY,
    MANIFEST,
    OWN,
    YAML,
    manifest,
    refusal,
    write_archive,
)
from tuner.errors import ModelError
from tuner.targets.torchserve.model import ArchiveModel


class TestHostileArchives:
    @pytest.mark.parametrize("content", [b"", b"weights", b"PK\3\4", b"\x1f\x8b\x08"])
    def test_no_archive(self, tmp_path: Path, content: bytes) -> None:
        """What is no zip file is told so, with what makes one."""
        archive = tmp_path / "m.mar"
        archive.write_bytes(content)
        assert refusal(archive) == (
            f"{archive}: a model archive was expected, but it is no zip file",
            MADE_BY,
        )

    def test_unreadable(self, tmp_path: Path) -> None:
        """A file that is gone, or that the system does not let us read, says why."""
        archive = tmp_path / "m.mar"
        assert refusal(archive) == (
            f"{archive}: a model archive was expected, but No such file or directory",
            MADE_BY,
        )

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(None, id="none"),
            pytest.param("", id="empty"),
            pytest.param('{"model": ', id="cut-off"),
            pytest.param("[]", id="list"),
            pytest.param("\xff", id="text"),
            pytest.param("[" * 100_000, id="deep"),
            pytest.param(" " * (1 << 20) + "{}", id="large"),
        ],
    )
    def test_no_manifest(self, tmp_path: Path, text: str | None) -> None:
        """A zip file is a model archive by its manifest only."""
        archive = write_archive(tmp_path, files={MANIFEST: text or ""})
        if text is None:
            with zipfile.ZipFile(archive, "w") as empty:
                empty.writestr("m.pt", "weights")
        assert refusal(archive) == (
            f"{archive}: a model archive has a {MANIFEST}, but this has none that can be read",
            MADE_BY,
        )

    @pytest.mark.parametrize("text", ["{}", '{"model": null}', '{"model": []}', '{"model": {}}'])
    def test_a_manifest_that_says_nothing(self, tmp_path: Path, text: str) -> None:
        """TorchServe decides whether that is enough; the version is its usual one."""
        model = ArchiveModel(write_archive(tmp_path, OWN, files={MANIFEST: text}))
        assert (model.version, model.settings) == ("1.0", {})

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("minWorkers: [", "while parsing a flow node"),
            ("minWorkers: 1\n\tbatchSize: 2", "while scanning for the next token"),
            ("a: !!python/object:os.system {}", "could not determine a constructor"),
            ("{[]: 1}", "while constructing a mapping"),
            ("a: 2026-99-99", "month must be in 1..12"),
            ("[" * 1000, "maximum recursion depth exceeded"),
            ("#" * (1 << 20) + "\na: 1", f"{YAML} has more than 1 MiB"),
        ],
    )
    def test_broken_yaml(self, tmp_path: Path, text: str, reason: str) -> None:
        """What is no plain YAML is refused with the parser's words, in one line."""
        archive = write_archive(tmp_path, text)
        message, hint = refusal(archive)
        assert message.startswith(f"{archive}: its {YAML} cannot be read: {reason}")
        assert "\n" not in message
        assert hint == "archive the model again with a model-config.yaml that is plain YAML"

    def test_a_yaml_that_is_not_there(self, tmp_path: Path) -> None:
        """A manifest that names a missing file is an archive that went wrong."""
        archive = write_archive(tmp_path, files={MANIFEST: manifest(configFile="gone.yaml")})
        message, hint = refusal(archive)
        assert message == (
            f"{archive}: its gone.yaml cannot be read: "
            "\"There is no item named 'gone.yaml' in the archive\""
        )
        assert hint == "archive the model again with a model-config.yaml that is plain YAML"

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4)
    )
    def test_damage_of_any_kind(self, tmp_path: Path, changes: list[tuple[int, int]]) -> None:
        """Whatever bytes are changed, there is a model that can be staged, or a ModelError."""
        archive = write_archive(tmp_path, OWN)
        data = bytearray(archive.read_bytes())
        for place, value in changes:
            data[place % len(data)] = value
        archive.write_bytes(data)
        with suppress(ModelError):
            ArchiveModel(archive).stage(tmp_path / "store")
