"""What errors show, and what they keep to themselves."""

import pytest

from tuner.errors import InputError, is_secret, masked

SAME = [
    "http://127.0.0.1:8000 answered 404",
    "image:tag@sha256:abc",
    "registry:5000/a/b:1@sha256:abc",
    "mail me@example.org at 12:30",
    "`$.result[0]=cat` is no path into JSON",
    "instance_count=4 threads=1",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((text, text) for text in SAME),
        ("postgresql://alice:s3cret@host/db", "postgresql://***@host/db"),
        ("`postgresql://ali ce:s3 cret@host/db` is", "`postgresql://***@host/db` is"),
        ("redis://:s3cret@host is away", "redis://***@host is away"),
        ("http://alice@host:1 and http://host", "http://***@host:1 and http://host"),
        ("http://alice:s3@cret/x@host:1", "http://***@host:1"),
        ("`http://alice:s3`cret@host`", "`http://***@host`"),
        ("s3:/alice:s3cret@bucket is not there", "s3:/***@bucket is not there"),
        ("`alice:s3cret@host:8000`", "`***@host:8000`"),
        ("http://host/x?token=s3cret&user=alice, got", "http://host/x?token=***&user=***, got"),
        ("requests cannot have the path `x?k=s3cret`", "requests cannot have the path `x?k=***`"),
    ],
)
def test_secrets_of_urls(text: str, shown: str) -> None:
    """Users, passwords and queries are masked, in messages and hints; other texts stay."""
    error = InputError(text, hint=text)
    assert (masked(text), error.message, error.hint, str(error)) == (shown,) * 4
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in ("HF_TOKEN", "API_KEY", "OPENAI_APIKEY", "DB_PASSWORD", "KEY")),
        *((name, True) for name in ("Authorization", "X-Api-Key", "Cookie", "AWS_SECRET_ID")),
        *((name, False) for name in ("TOKENIZERS_PARALLELISM", "MAX_TOKENS", "OMP_NUM_THREADS")),
        *((name, False) for name in ("Content-Type", "MONKEY", "AUTHOR")),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:  # noqa: FBT001 - a parameter
    """What is called a key, a token or a password is a secret; what counts tokens is not."""
    assert is_secret(name) is secret
