"""What a job may use of the machine that it runs on.

A job runs as the user of the service. Whoever may submit jobs gets to read nothing, to run nothing
and to reach nothing with them but what the service was started with.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tuner.errors import InputError, quoted
from tuner.protocols.tensors.inputs import RANDOM, ZERO
from tuner.service.access.code import code_in
from tuner.service.access.own_spaces import program_in
from tuner.service.access.paths import within
from tuner.service.settings import Settings
from tuner.space.files import built_in
from tuner.space.spec import load_space
from tuner.targets.catalog import SERVERS
from tuner.targets.command.model import names_model
from tuner.targets.triton import config
from tuner.workload.lengths import HISTOGRAM

_COMMANDS_HINT = "start the service with `--allow-commands` if all who may run jobs are trusted"
# Longer texts, longer lists and larger numbers are none that a person says.
_LONGEST, _MOST, _LARGEST = 4096, 1000, 1e15
# Of all files of `body` together, which the service itself reads, in bytes.
_LARGEST_BODIES = 64 * 2**20
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HEADER = re.compile(r"[0-9A-Za-z_.-]+:[ -~]*")
# Never those of a job: who submits one is not who runs the service.
_REFUSED = frozenset(
    {
        "as_json", "db", "detach", "notify", "notify_url", "output", "retry", "service",
        "study", "wait",
    }
)  # fmt: skip
# Where servers are usually reached by more than one port of theirs.
_USUAL_PORTS = {port for kind in SERVERS.values() for port in kind.remote_ports.values()}
# What makes a container more than a container: root on the host, or the host's own network.
_OF_HOST = ("cap_add", "mount", "user")


def usable(settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a job, with the whole paths of what they name.

    Raises:
        InputError: The service lets no job use something of it.
    """
    for name, value in options.items():
        _check_option(name, value)
    found = {**options, **_resolved(settings, options)}
    if sum(Path(each).stat().st_size for each in found.get("body") or ()) > _LARGEST_BODIES:
        raise InputError(
            "the files of `body` are too large", hint=f"use at most {_LARGEST_BODIES:,} bytes"
        )
    if _serves_folder(found):
        found["model"] = _model(settings, found["model"])
    else:
        _check_names("model", found.get("model"))
    for name in ("with_model", *(() if found.get("model_file") else ("variant",))):
        _check_names(name, found.get(name))
    if found.get("model") and not found.get("model_repository") and _server(found) == "llama_cpp":
        raise InputError(
            "`model` names no file of the service", hint="name one of its models: `model_file`"
        )
    _check_place(settings, found)
    if not settings.allow_commands:
        _check_runs_nothing(found)
    return found


def _serves_folder(options: Mapping[str, Any]) -> bool:
    """Whether `model` is a folder, which a space has its server started with."""
    space = options.get("space")
    if not options.get("model") or not space:
        return False
    serve = load_space(built_in().get(space, Path(space))).serve
    return serve is not None and names_model(serve)


def _resolved(settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that name files, with whole paths; further forms of a file are files, too."""
    forms = {"variant": _models_of} if options.get("model_file") else {}
    return {
        name: resolve(settings, options[name])
        for name, resolve in (_PATHS | forms).items()
        if options.get(name)
    }


def _model(settings: Settings, text: str) -> str:
    return str(within(text, (*settings.models, settings.uploads), kind="file or folder"))


def _models_of(settings: Settings, texts: Sequence[str]) -> list[str]:
    return [_model(settings, each) for each in texts]


def _data(settings: Settings, texts: Sequence[str]) -> list[str]:
    return [each if each in (RANDOM, ZERO) else _model(settings, each) for each in texts]


def _lengths(settings: Settings, text: str) -> str:
    """A distribution of lengths, which may be in a file."""
    kind, colon, file = text.partition(":")
    return f"{kind}:{_model(settings, file)}" if colon and kind == HISTOGRAM else text


def _space(settings: Settings, text: str) -> str:
    if text in built_in():
        return text
    return str(within(text, settings.spaces, kind="search space", endings=(".yaml", ".yml")))


_PATHS: dict[str, Callable[[Settings, Any], Any]] = {
    "model_file": _model,
    "model_repository": _model,
    "input_data": _data,
    "body": _models_of,
    "dataset": _model,
    "tokenizer": _model,
    "prompt_tokens": _lengths,
    "output_tokens": _lengths,
    "space": _space,
}


def _check_option(name: str, value: Any) -> None:
    """That it is one of a job, and its texts are what people type."""
    if name in _REFUSED:
        raise InputError(f"`{name}` is no option of a job", hint="who runs the service says that")
    if name == "header":
        _check_headers(value or ())
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and (len(each) > _LONGEST or _CONTROL.search(each)):
            raise InputError(
                f"`{name}`: {quoted(each)} has characters that nobody types, or too many",
                hint=f"use at most {_LONGEST}, without line breaks and other control characters",
            )
    if isinstance(value, list) and len(value) > _MOST:
        raise InputError(f"`{name}` has {len(value)} values", hint=f"use at most {_MOST}")
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise InputError(f"`{name}` is too large a number", hint=f"use at most {_LARGEST:g}")


def _check_headers(said: Sequence[str]) -> None:
    """That they are headers, and no `@FILE`, which would be one of the service's machine."""
    for each in said:
        if not _HEADER.fullmatch(each):
            raise InputError(
                "`header`: 'Name: value' in printable ASCII was expected",
                hint="for example: `Authorization: Bearer TOKEN`",
            )


def _check_names(option: str, said: Any) -> None:
    """That names of models are names, and no paths."""
    for name in said if isinstance(said, list) else [said]:
        if isinstance(name, str) and ("/" in name or "\\" in name or name in (".", "..")):
            raise InputError(
                f"`{option}`: {quoted(name)} is no name of a model",
                hint="a name has no slash; name the folder with `model_repository`",
            )


def _check_place(settings: Settings, options: Mapping[str, Any]) -> None:
    """That the server runs in an image, at an address or on a fleet that the service was given."""
    image = options.get("image", "")
    if (image or options.get("runner") == "docker") and image not in settings.images:
        raise _not_stated("image", image, settings.images)
    if options.get("url") or options.get("runner") == "remote":
        _check_remote(settings, options)
    if (fleet := options.get("fleet")) and fleet not in settings.fleets:
        raise _not_stated("fleet", fleet, settings.fleets)
    if settings.allow_commands:
        return
    host = ("network",) if options.get("network") == "host" else ()
    for name in (*_OF_HOST, *host):
        if options.get(name):
            raise InputError(
                f"`{name}` makes a container more than a container", hint=_COMMANDS_HINT
            )


def _check_remote(settings: Settings, options: Mapping[str, Any]) -> None:
    url = options.get("url", "")
    remotes = {_address(each): each for each in settings.remotes}
    asked = _address(url)
    if asked is None or asked not in remotes:
        raise _not_stated("url", url, settings.remotes)
    there = {each[1] for each in remotes if each and each[0] == asked[0]} | _USUAL_PORTS
    for said in options.get("port") or ():
        name, _, number = said.partition("=")
        if not number.isascii() or not number.isdecimal() or int(number[:6]) not in there:
            raise InputError(
                f"`port`: {quoted(said)} is none that jobs may reach",
                hint=f"`tuner serve --remote http://{asked[0]}:PORT` allows another one "
                f"for `{name or 'management'}`"[:200],
            )


def _address(url: str) -> tuple[str, int] | None:
    """Host and port of `http://HOST:PORT`; None where it is anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = parts.scheme == "http" and parts.path in ("", "/") and "@" not in parts.netloc
    if not plain or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname, 80 if port is None else port


def _not_stated(option: str, value: str, stated: Sequence[str]) -> InputError:
    known = ", ".join(f"`{each}`" for each in stated)
    return InputError(
        f"`{option}`: {quoted(value)} is none that jobs may use",
        hint=f"those that the service was started with: {known}"
        if known
        else f"the service was started without one: `--{'remote' if option == 'url' else option}`",
    )


def _check_runs_nothing(options: Mapping[str, Any]) -> None:
    """That the job runs no program that somebody brings along."""
    if options.get("server") == "command":
        raise InputError("`server: command` runs a command", hint=_COMMANDS_HINT)
    space = options.get("space", "")
    if space and space not in built_in() and (why := program_in(Path(space))):
        raise InputError(
            f"the space `{Path(space).name}` may not be used: {why}", hint=_COMMANDS_HINT
        )
    for path in _models(options):
        if why := code_in(path):
            raise InputError(f"the model is a program ({why})", hint=_COMMANDS_HINT)


def _models(options: Mapping[str, Any]) -> list[Path]:
    """The files and folders of all models that the job loads; a whole repository in doubt."""
    if file := options.get("model_file"):
        return [Path(file), *map(Path, options.get("variant") or ())]
    if _serves_folder(options):
        return [Path(options["model"])]
    if not (said := options.get("model_repository")):
        return []
    repository = Path(said)
    names = [options.get("model"), *(options.get("variant") or ())]
    names += options.get("with_model") or ()
    folders = [repository / name for name in names if name]
    # What an ensemble asks, its configuration says; other servers have files of other names.
    is_known = _server(options) == "triton" and options.get("model") and "*" not in names
    if is_known and all(each.is_dir() and not _asks_others(each) for each in folders):
        return folders
    return [repository]


def _server(options: Mapping[str, Any]) -> str:
    if server := options.get("server"):
        return str(server)
    space = options.get("space")
    return load_space(built_in().get(space, Path(space))).server if space else "triton"


def _asks_others(model: Path) -> bool:
    file = model / "config.pbtxt"
    return file.is_file() and config.get(config.read(file), "ensemble_scheduling") is not None
