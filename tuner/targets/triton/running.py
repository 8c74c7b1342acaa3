"""A model that a Triton of somebody else has loaded."""

import hashlib
from pathlib import Path
from typing import Self

from runners.base import RunningServer
from tuner.clients.v2_http import V2Client
from tuner.errors import ModelError
from tuner.targets.triton import config
from tuner.targets.triton.model import TritonModel


class ServedTritonModel(TritonModel):
    """No more of it is known than the server says."""

    @classmethod
    def of(cls, server: RunningServer, model: str | None) -> Self:
        """The model called `model`, or the only one that is ready.

        Raises:
            ModelError: There is none, or several.
            ServerError: The server does not answer.
        """
        with V2Client(server.url("http")) as client:
            ready = client.ready_models()
            if model is None and len(ready) == 1:
                [model] = ready
            if model not in ready:
                named = f"has no model `{model}` that is ready" if model else "has several models"
                raise ModelError(
                    f"{server.url('http')}: {named if ready else 'has no model that is ready'}",
                    hint=f"models there: {', '.join(ready) or 'none'}; choose one with `--model`",
                )
            return cls(model, config.from_server(client.config(model)))

    @property
    def own_fingerprint(self) -> str:
        """Ten hexadecimal digits that change when its configuration does: files are not seen."""
        return hashlib.sha256(config.as_text(self.config).encode()).hexdigest()[:10]

    def stage_own(self, repository: Path) -> None:
        """Nothing is copied: the server has the model."""
