"""Versions of a model as its forms: a parameter of the space chooses which one is served."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.spaces import choice, space
from tests.targets.triton.triton_targets import served, write_form
from tuner.protocols.tensors.values import to_array
from tuner.records import Applied
from tuner.space.settings import ConfigPath
from tuner.targets.process_proofs import CONFIRMED
from tuner.targets.triton.repository import RepositoryModel


def test_each_version_is_a_reload_away(tmp_path: Path) -> None:
    """The version that was asked for answers, and the server's configuration confirms it."""
    repository = tmp_path / "repository"
    write_form(repository, "m", 2.0)
    shutil.copytree(repository / "m" / "1", repository / "m" / "2")
    code = repository / "m" / "2" / "model.py"
    code.write_text(code.read_text().replace("2.0", "3.0"))
    sets = ConfigPath("version_policy.specific.versions[0]")
    searched = space(replace(choice(2, 1, name="version"), sets=sets, reload=True))
    model = served(tmp_path, RepositoryModel(repository, "m"), searched=searched)

    answers, applied = [], []
    with model.deployment() as deployment:
        for number in (2, 1):
            configuration = model.space.activate({"version": number})
            applied.append(deployment.apply(configuration))
            verdicts = model.target.verify(deployment.server, configuration)
            assert verdicts == {"version": CONFIRMED}
            [[y]] = model.target.infer(deployment.server)
            answers.append(to_array(y))
    assert applied == [Applied.RESTART, Applied.RELOAD]
    assert np.allclose(2 * answers[0], 3 * answers[1])
