"""The client's side of TLS."""

import ssl

from tuner.errors import InputError
from tuner.load.profile import TlsSettings


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """The client's side of TLS as `tls` says.

    Raises:
        InputError: A file of certificates or keys cannot be read or used.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        # Who gives a server's own certificate as the CA file believes that one.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if tls.certificate is not None:
            # Without a password of ours, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the TLS certificates cannot be used: {error}",
            hint="PEM files are expected; a client certificate needs its key, without a password",
        ) from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
