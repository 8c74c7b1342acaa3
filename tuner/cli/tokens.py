"""`tuner tokens`: who may use the service, and how far."""

import re
from datetime import UTC, datetime, timedelta

from rich.table import Table

from tuner.cli import values
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.token_options import AddTokenOptions, ListTokensOptions, RemoveTokenOptions
from tuner.errors import InputError, did_you_mean, unfit
from tuner.service.access import tokens
from tuner.service.access.principal import Role
from tuner.service.access.tokens import Token

# A token that lives longer should be one that lives for ever.
_MOST_DAYS = 3650


def add(options: AddTokenOptions) -> None:
    """Make a token, and print it."""
    role, ends = _role(options.role), _end(options.expires)
    text = tokens.add(options.token_file, options.name, role, ends)
    if options.as_json:
        print_json(
            {
                "name": options.name,
                "role": str(role),
                "token": text,
                "expires": ends and ends.isoformat(),
            }
        )
        return
    print_text(text)
    note(f"the token of `{options.name}` ({role}); it is shown this once")


def list_tokens(options: ListTokensOptions) -> None:
    """Who has one."""
    found = tokens.read(options.token_file)
    if options.as_json:
        print_json([_document(each) for each in found])
        return
    table = Table("token", "role", "made", "expires")
    for each in found:
        ends = "never" if each.expires is None else f"{each.expires:%Y-%m-%d %H:%M}"
        over = " (over)" if each.is_over else ""
        table.add_row(each.name, str(each.role), f"{each.created:%Y-%m-%d %H:%M}", ends + over)
    print_blocks([table])


def remove(options: RemoveTokenOptions) -> None:
    """Take one away."""
    tokens.remove(options.token_file, options.name)
    print_text(f"removed the token `{options.name}`")


def _role(name: str) -> Role:
    try:
        return tokens.role_of(name)
    except ValueError:
        hint = did_you_mean(name, [str(role) for role in Role])
        raise InputError(f"`--role` must be a role, but got `{name}`", hint=hint) from None


def _end(text: str | None) -> datetime | None:
    if text is None:
        return None
    now = datetime.now(UTC)
    if match := re.fullmatch(r"(\d{1,6})d", text, re.ASCII):
        if not 0 < int(match[1]) <= _MOST_DAYS:
            raise unfit("--expires", f"up to {_MOST_DAYS} days", text, "for example: 90d")
        return now + timedelta(days=int(match[1]))
    return now + timedelta(seconds=values.duration_s(text, "--expires"))


def _document(token: Token) -> dict[str, object]:
    return token.model_dump(mode="json", exclude={"sha256"})
