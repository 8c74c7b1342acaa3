"""A language-model server that runs: what its service sends."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.openai_server import MODEL, serving
from tuner.errors import ServerError
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_form import OpenAiForm
from tuner.sweep.openai import OpenAiService
from tuner.workload.lengths import Constant
from tuner.workload.synthetic import SyntheticForm

FORM = OpenAiForm(synthetic=SyntheticForm(prompt=Constant(40), output=Constant(4), count=5))


def test_what_is_sent() -> None:
    """Requests for the model that the server has, each with a place for its number."""
    with (
        serving(unknown=("ignore_eos",)) as server,
        OpenAiService(server.endpoint, FORM) as service,
    ):
        assert len(service.requests.payloads) == len(service.requests.serials) == 5
        assert all(f'"model": "{MODEL}"'.encode() in each for each in service.requests.payloads)
        assert not any(b"ignore_eos" in each for each in service.requests.payloads)
        assert len(service.remarks) == 1
        assert service.statistics() is None


def test_what_is_told(tmp_path: Path) -> None:
    """What is to be known of the prompts, and of what the server makes of them."""
    file = tmp_path / "prompts.txt"
    file.write_text("one\n")
    with (
        serving(unknown=("ignore_eos",)) as server,
        OpenAiService(server.endpoint, OpenAiForm(dataset=file)) as service,
    ):
        again, eos = service.remarks
    assert again == (
        f"the prompts of {file} are sent again and again: a server with a prefix cache answers "
        "faster than it will answer new ones"
    )
    assert eos.startswith("the server does not know `ignore_eos`")


def test_who_asks() -> None:
    """The key goes with everything that is asked."""
    options = OpenAiOptions(headers={"Authorization": "Bearer k"})
    with serving(key="k") as server:
        with OpenAiService(server.endpoint, replace(FORM, options=options)) as service:
            assert all(b"Authorization: Bearer k" in each for each in service.requests.payloads)
        with pytest.raises(ServerError, match=r"who are you\?"):
            OpenAiService(server.endpoint, FORM).__enter__()
