"""A model that a Triton that already runs has loaded."""

from pathlib import Path

from runners.base import RunningServer
from tuner.clients.v2_http import V2Client
from tuner.targets import model_choice, staging
from tuner.targets.triton import config, ensemble
from tuner.targets.triton.base import TritonModel


class RunningModel(TritonModel):
    """No more of it is known than the server says."""

    @classmethod
    def of(cls, server: RunningServer, model: str | None) -> TritonModel:
        """The model called `model`, or the only one that is ready; an ensemble with its parts.

        Raises:
            ModelError: There is none, or several.
            ServerError: The server does not answer.
        """
        url = server.url("http")
        with V2Client(url) as client:
            there = client.ready_models()
            name = model_choice.running(there, model, url=url, ready=" that is ready")

            def opened(name: str) -> TritonModel:
                return cls(name, config.from_server(client.config(name)))

            own = opened(name)
            is_whole = not ensemble.is_ensemble(own.config)
            return own if is_whole else ensemble.composed(own, opened)

    @property
    def own_fingerprint(self) -> str:
        """Ten hexadecimal digits that change when its configuration does: files are not seen."""
        return staging.digest([], beside=config.as_text(self.config).encode())

    def stage_own(self, repository: Path) -> None:
        """Nothing is copied: the server has the model."""
