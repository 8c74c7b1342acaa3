"""The C API of Triton, as far as it is used here: the only door to its library.

Source: triton-inference-server/core, include/triton/core/tritonserver.h.
"""

from ctypes import CDLL, CFUNCTYPE, POINTER, PyDLL, byref, string_at
from ctypes import c_bool as boolean
from ctypes import c_char_p as text
from ctypes import c_double as double
from ctypes import c_int as enum
from ctypes import c_int64 as int64
from ctypes import c_size_t as size
from ctypes import c_uint as unsigned
from ctypes import c_uint32 as uint32
from ctypes import c_uint64 as uint64
from ctypes import c_void_p as pointer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tuner.errors import ServerMissingError

# Another one would be another interface.
_MAJOR_VERSION = 1
# What they begin with is about an object of their caller alone. They take a microsecond or less,
# and wait for nobody: to let go of Python's lock meanwhile, for the threads that call back to
# fight for, would take them and Triton many times as long.
_QUICK = ("InferenceRe", "Error", "DataType", "StringTo")

# What Triton calls: for the memory of an output, once it is given back, and with a response.
AllocateOutput = CFUNCTYPE(
    *(pointer, pointer, text, size, enum, int64, pointer),
    *(POINTER(pointer), POINTER(pointer), POINTER(enum), POINTER(int64)),
)
ReleaseOutput = CFUNCTYPE(pointer, pointer, pointer, pointer, size, enum, int64)
Responded = CFUNCTYPE(None, pointer, uint32, pointer)

# The arguments of those that say what went wrong, or NULL.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ApiVersion": (POINTER(uint32), POINTER(uint32)),
    "ServerOptionsNew": (POINTER(pointer),),
    "ServerOptionsDelete": (pointer,),
    "ServerOptionsSetModelRepositoryPath": (pointer, text),
    "ServerOptionsSetModelControlMode": (pointer, enum),
    "ServerOptionsSetStartupModel": (pointer, text),
    "ServerOptionsSetStrictModelConfig": (pointer, boolean),
    "ServerOptionsSetExitOnError": (pointer, boolean),
    "ServerOptionsSetExitTimeout": (pointer, unsigned),
    "ServerOptionsSetLogInfo": (pointer, boolean),
    "ServerOptionsSetMetrics": (pointer, boolean),
    "ServerOptionsSetBackendDirectory": (pointer, text),
    "ServerOptionsSetCacheDirectory": (pointer, text),
    "ServerOptionsSetBackendConfig": (pointer, text, text, text),
    "ServerNew": (POINTER(pointer), pointer),
    "ServerDelete": (pointer,),
    "ServerModelIsReady": (pointer, text, int64, POINTER(boolean)),
    "ServerModelIndex": (pointer, uint32, POINTER(pointer)),
    "ServerModelMetadata": (pointer, text, int64, POINTER(pointer)),
    "ServerModelConfig": (pointer, text, int64, uint32, POINTER(pointer)),
    "ServerModelStatistics": (pointer, text, int64, POINTER(pointer)),
    "MessageSerializeToJson": (pointer, POINTER(pointer), POINTER(size)),
    "MessageDelete": (pointer,),
    "ResponseAllocatorNew": (POINTER(pointer), pointer, pointer, pointer),
    "ResponseAllocatorDelete": (pointer,),
    "InferenceRequestNew": (POINTER(pointer), pointer, text, int64),
    "InferenceRequestDelete": (pointer,),
    "InferenceRequestSetFlags": (pointer, uint32),
    "InferenceRequestSetCorrelationId": (pointer, uint64),
    "InferenceRequestSetPriorityUInt64": (pointer, uint64),
    "InferenceRequestSetTimeoutMicroseconds": (pointer, uint64),
    "InferenceRequestSetStringParameter": (pointer, text, text),
    "InferenceRequestSetIntParameter": (pointer, text, int64),
    "InferenceRequestSetBoolParameter": (pointer, text, boolean),
    "InferenceRequestSetDoubleParameter": (pointer, text, double),
    "InferenceRequestAddInput": (pointer, text, enum, POINTER(int64), uint64),
    "InferenceRequestAppendInputData": (pointer, text, pointer, size, enum, int64),
    "InferenceRequestSetReleaseCallback": (pointer, pointer, pointer),
    "InferenceRequestSetResponseCallback": (pointer, pointer, pointer, pointer, pointer),
    "ServerInferAsync": (pointer, pointer, pointer),
    "InferenceResponseOutputCount": (pointer, POINTER(uint32)),
    "InferenceResponseOutput": (
        *(pointer, uint32, POINTER(text), POINTER(enum), POINTER(POINTER(int64))),
        *(POINTER(uint64), POINTER(pointer), POINTER(size), POINTER(enum), POINTER(int64)),
        POINTER(pointer),
    ),
    "InferenceResponseDelete": (pointer,),
}
# Those that return something else.
_OTHERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ErrorNew": (pointer, (enum, text)),
    "ErrorDelete": (None, (pointer,)),
    "ErrorMessage": (text, (pointer,)),
    "ErrorCodeString": (text, (pointer,)),
    "InferenceResponseError": (pointer, (pointer,)),
    "DataTypeString": (text, (enum,)),
    "StringToDataType": (enum, (text,)),
}


class TritonError(Exception):
    """What a function says went wrong, and the `kind` of error, such as Internal."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TritonLibrary:
    """The functions of the library at `path`; `call` has them without their prefix.

    Those that return an error raise it, as TritonError. Python's lock is let go of while the
    server is at work, as its own threads call back.

    Raises:
        ServerMissingError: It cannot be loaded, or has another interface.
    """

    def __init__(self, path: Path) -> None:
        self.call: Any = SimpleNamespace()
        try:
            libraries = CDLL(str(path)), PyDLL(str(path))
            for name, arguments in _ARGUMENTS.items():
                self._add(libraries, name, pointer, arguments).errcheck = self._check
            for name, (returned, arguments) in _OTHERS.items():
                self._add(libraries, name, returned, arguments)
        except (OSError, AttributeError) as error:
            raise ServerMissingError(
                f"Triton's library cannot be loaded: {error}",
                hint="name the folder of a whole Triton with `--triton-server-directory`",
            ) from None
        major, minor = uint32(), uint32()
        self.call.ApiVersion(byref(major), byref(minor))
        if major.value != _MAJOR_VERSION:
            raise ServerMissingError(
                f"version {_MAJOR_VERSION} of Triton's C API was expected, but {path.name} has "
                f"version {major.value}.{minor.value}",
                hint="name the folder of another Triton with `--triton-server-directory`",
            )

    def _add(
        self, libraries: tuple[CDLL, CDLL], name: str, returned: Any, arguments: tuple[Any, ...]
    ) -> Any:
        function = getattr(libraries[name.startswith(_QUICK)], f"TRITONSERVER_{name}")
        function.restype, function.argtypes = returned, arguments
        setattr(self.call, name, function)
        return function

    def _check(self, error: int | None, *_: object) -> None:
        if error:
            raised = self.error(error)
            self.call.ErrorDelete(error)
            raise raised

    def error(self, error: int) -> TritonError:
        """What an error of the library says; it stays whose it is."""
        kind, message = self.call.ErrorCodeString(error), self.call.ErrorMessage(error)
        return TritonError(kind.decode(), message.decode(errors="replace"))

    def message(self, function: str, *arguments: object) -> str:
        """The JSON of the message that `function` makes, its last argument."""
        made, begin, length = pointer(), pointer(), size()
        getattr(self.call, function)(*arguments, byref(made))
        try:
            self.call.MessageSerializeToJson(made, byref(begin), byref(length))
            return string_at(begin, length.value).decode()
        finally:
            self.call.MessageDelete(made)
