"""`tuner tokens`: who may use the service."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.command_line import Tuner
from tuner.service.access.tokens import Tokens

FILE = ("--token-file", "tokens")


def test_tokens_are_made_listed_and_removed(tuner: Tuner) -> None:
    """A token is on stdout, alone; what is said about it is on stderr."""
    made = tuner("tokens", "add", "ci", "--role", "run", *FILE, "--expires", "90d")
    assert (made.status, made.err) == (
        0, "the token of `ci` (run); it is shown this once\n",
    )  # fmt: skip
    assert Tokens("own", Path("tokens")).of(made.out.strip()) is not None

    document = tuner("tokens", "add", "me", "--role", "admin", *FILE, "--json").json
    assert Tokens("own", Path("tokens")).of(document["token"]) is not None
    assert document == document | {"name": "me", "role": "admin", "expires": None}

    table, listed = tuner.both("tokens", "list", *FILE)
    assert [(each["name"], each["role"]) for each in listed] == [("ci", "run"), ("me", "admin")]
    assert "sha256" not in listed[0]
    left = datetime.fromisoformat(listed[0]["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    assert "never" in table

    assert tuner("tokens", "remove", "ci", *FILE).out == "removed the token `ci`\n"
    assert Tokens("own", Path("tokens")).of(made.out.strip()) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--role root", "`--role` must be a role, but got `root`"),
        ("--role run --expires 0d", "`--expires` must be up to 3650 days, but got `0d`"),
        ("--role run --expires 99999d", "`--expires` must be up to 3650 days, but got `99999d`"),
        ("--role run --expires soon", "`--expires` must be a duration above 0"),
    ],
)
def test_what_a_token_cannot_be(tuner: Tuner, options: str, message: str) -> None:
    """Nothing is written."""
    failed = tuner("tokens", "add", "ci", *FILE, *options.split())

    assert failed.status == 2
    assert message in failed.err
    assert not Path("tokens").exists()


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            "--host 0.0.0.0",
            "`--host 0.0.0.0`: other machines reach this address, but nobody has a token",
            (
                "make one: `tuner tokens add NAME --role run --token-file FILE`; then start with "
                "`--token-file FILE`"
            ),
        ),
        (
            "--tls-certificate here.pem",
            "`--tls-certificate` and `--tls-key` belong together",
            "give both, or none",
        ),
        (
            "--tls-certificate nowhere.pem --tls-key nowhere.pem",
            (
                "the certificate `nowhere.pem` cannot be used with the key `nowhere.pem`: "
                "No such file or directory"
            ),
            "give the files in PEM form, the key without a password",
        ),
        (
            "--token-file nowhere",
            "there is no file of tokens `{}/nowhere`",
            "tuner tokens add NAME --role admin --token-file {}/nowhere",
        ),
    ],
)
def test_the_service_does_not_listen_where_others_would_get_in(
    tuner: Tuner, tmp_path: Path, options: str, message: str, hint: str
) -> None:
    """It ends with what is missing."""
    failed = tuner("serve", "--port", "0", *options.split())

    assert failed.status == 2
    assert failed.err == (f"error: {message.format(tmp_path)}\nhint: {hint.format(tmp_path)}\n")
