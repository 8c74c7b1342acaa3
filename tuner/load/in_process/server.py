"""A Triton in this process: started, asked of its models, and stopped."""

import json
from contextlib import suppress
from ctypes import byref, c_bool, c_void_p
from typing import Any, Self

from tuner.errors import ServerError
from tuner.load.in_process.answers import Answers
from tuner.load.in_process.hosted import HostedTriton, Question, Subject, version_number
from tuner.load.in_process.library import TritonError, TritonLibrary

_EXPLICIT = 2  # TRITONSERVER_MODEL_CONTROL_EXPLICIT: it loads the models that it is told to
# Seconds that models have to end their work when the server stops.
_EXIT_TIMEOUT_S = 10


class TritonServer:
    """Runs within a `with` block, with one model loaded.

    Raises:
        ServerMissingError: The library cannot be loaded.
        ServerError: The server does not start, or does not have the model.
    """

    def __init__(self, hosted: HostedTriton) -> None:
        self._hosted = hosted
        self.library = TritonLibrary(hosted.library)
        self.pointer = c_void_p()

    def __enter__(self) -> Self:
        call = self.library.call
        options = c_void_p()
        call.ServerOptionsNew(byref(options))
        try:
            self._set(options)
            call.ServerNew(byref(self.pointer), options)
        except TritonError as error:
            raise ServerError(
                f"Triton does not start in this process: {error}",
                hint="see whether `tritonserver` starts with this model repository",
            ) from None
        finally:
            call.ServerOptionsDelete(options)
        try:
            self._check_loaded()
            self.answers = Answers(self.library)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.drain(_EXIT_TIMEOUT_S)
        self._stop()
        self.answers.close()

    def _stop(self) -> None:
        with suppress(TritonError):  # a model that does not end its work in time: the process ends
            self.library.call.ServerDelete(self.pointer)

    def _set(self, options: c_void_p) -> None:
        hosted, call = self._hosted, self.library.call
        settings: dict[str, Any] = {
            "ModelRepositoryPath": str(hosted.repository).encode(),
            "ModelControlMode": _EXPLICIT,
            "StartupModel": hosted.model.encode(),
            "StrictModelConfig": False,
            # A model that cannot be loaded is asked why, which is more than is said otherwise.
            "ExitOnError": False,
            "ExitTimeout": _EXIT_TIMEOUT_S,
            "LogInfo": False,  # of what it says last, warnings and errors are of use
            "Metrics": False,
            "BackendDirectory": hosted.backends and str(hosted.backends).encode(),
            "CacheDirectory": hosted.caches and str(hosted.caches).encode(),
        }
        for name, value in settings.items():
            if value is not None:
                getattr(call, f"ServerOptionsSet{name}")(options, value)
        call.ServerOptionsSetBackendConfig(
            options, b"python", b"shm-region-prefix-name", hosted.shm_prefix.encode()
        )

    def _check_loaded(self) -> None:
        """That the model is loaded, in some version."""
        model = self._hosted.model
        index = json.loads(self.library.message("ServerModelIndex", self.pointer, 0))
        entries = [each for each in index if each["name"] == model]
        if any(each.get("state") == "READY" for each in entries):
            return
        reasons = [each["reason"] for each in entries if each.get("reason")]
        raise ServerError(
            f"Triton could not load the model `{model}`: "
            f"{' '.join(' '.join(reasons).split()) or 'it is not in the model repository'}",
            hint="check the name, the model repository, and which backends this Triton has",
        )

    def answer(self, question: Question) -> str:
        """JSON, as the model's metadata, configuration or statistics have it over HTTP.

        Raises:
            ServerError: There is no such model, or version of it.
        """
        model, version = question.model.encode(), version_number(question.version)
        try:
            match question.subject:
                case Subject.READY:
                    ready = c_bool()
                    self.library.call.ServerModelIsReady(
                        self.pointer, model, version, byref(ready)
                    )
                    return json.dumps(ready.value)
                case Subject.CONFIG:
                    return self._told("ServerModelConfig", model, version, 1)
                case Subject.METADATA:
                    return self._told("ServerModelMetadata", model, version)
                case Subject.STATISTICS:
                    return self._told("ServerModelStatistics", model, version)
        except TritonError as error:
            raise ServerError(str(error)) from None

    def _told(self, function: str, *arguments: object) -> str:
        return self.library.message(function, self.pointer, *arguments)
