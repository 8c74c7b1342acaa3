"""Where a service listens, and what that needs."""

import ssl
from collections.abc import Iterator

from tuner.errors import InputError
from tuner.service.access.access import Access
from tuner.service.access.codes import LENGTH_S
from tuner.service.access.hosts import is_loopback
from tuner.service.settings import Settings


def check_listening(settings: Settings) -> None:
    """Refuse to listen where others would get in too easily.

    Raises:
        InputError: Other machines reach it and nobody has a token of their own, or the certificate
            cannot be used.
    """
    if not is_loopback(settings.host) and settings.token_file is None:
        raise InputError(
            f"`--host {settings.host}`: other machines reach this address, but nobody has a token",
            hint="make one: `tuner tokens add NAME --role run --token-file FILE`; then start with "
            "`--token-file FILE`",
        )
    if (settings.certificate is None) != (settings.certificate_key is None):
        raise InputError(
            "`--tls-certificate` and `--tls-key` belong together", hint="give both, or none"
        )
    if settings.certificate is not None:
        _check_certificate(settings)


def address(settings: Settings) -> str:
    """Where a browser on this machine finds it."""
    scheme = "http" if settings.certificate is None else "https"
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def greeting(access: Access) -> Iterator[str]:
    """What is said to whoever starts it; the token is said at the first start only."""
    settings = access.settings
    here = address(settings)
    if access.own.is_new:
        yield f"token: {access.own.text}"
        yield f"(shown this once; kept in {settings.folder / 'token'})"
    minutes = LENGTH_S / 60
    yield f"log in: {here}/login?code={access.codes.new()}"
    yield f"(once, within {minutes:g} minutes)"
    if not is_loopback(settings.host) and not access.is_secure:
        yield (
            "warning: without TLS, everybody on the way reads the tokens; add `--tls-certificate` "
            "and `--tls-key`, or listen on 127.0.0.1 behind a proxy that has them"
        )


def _check_certificate(settings: Settings) -> None:
    """That it and its key are there and fit; uvicorn would end with a traceback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            str(settings.certificate), str(settings.certificate_key), password=lambda: ""
        )
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the certificate `{settings.certificate}` cannot be used with the key "
            f"`{settings.certificate_key}`: {error.strerror or error}",
            hint="give the files in PEM form, the key without a password",
        ) from None
