"""`halley tokens`: create, list and revoke personal access tokens. The text of a token goes to standard output once and is stored
nowhere."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from halley.cli.door import ask

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def tokens() -> None:
    """Create, list and revoke personal access tokens."""


@tokens.command()
@click.option("--name", required=True, help="What the token is for.")
@click.option("--user", default="operator", show_default=True, help="Whose token it is.")
@click.option("--account", default="default", show_default=True, help="The account that it acts for.")
@click.option("--scopes", help="Comma-separated: usage-read, admin; all that the user's role allows if there are none.")
@click.option("--expires", help="ISO date or time (UTC unless it says otherwise), such as 2027-01-31.")
@_JSON
def create(name: str, user: str, account: str, scopes: str | None, expires: str | None, as_json: bool) -> None:
    """Make a token and show it, this once."""
    from halley.control.asks import CreateToken, NewToken
    from halley.control.plan import expiry, known_scopes

    try:
        wanted = known_scopes(tuple(part.strip() for part in scopes.split(",") if part.strip())) if scopes is not None else None
        expires_at = expiry(expires) if expires is not None else None
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    made = ask("tokens.create", CreateToken(name, user, account, wanted, expires_at), NewToken)
    if as_json:
        # The text stands first, as that of a key does.
        click.echo(msgspec.json.encode({"token_text": made.text, **msgspec.to_builtins(made.token)}))
        return
    click.echo(f"The token {made.token.name} ({made.token.id}) of {made.token.user} for {account}; it is not shown again:", err=True)
    click.echo(made.text)


@tokens.command(name="list")
@click.option("--revoked", is_flag=True, help="Show revoked tokens too.")
@_JSON
def list_tokens(revoked: bool, as_json: bool) -> None:
    """Show tokens, masked."""
    from halley.control.asks import Nothing, Tokens

    found = [token for token in ask("tokens.list", Nothing(), Tokens).tokens if revoked or token.revoked_at is None]
    if as_json:
        click.echo(msgspec.json.encode({"tokens": found}))
        return
    for token in found:
        ended = f"  revoked {datetime.fromtimestamp(token.revoked_at, UTC):%Y-%m-%d %H:%M}" if token.revoked_at is not None else ""
        click.echo(f"{token.id}  {token.shown}  {token.user}  {token.account}  {token.name}  {','.join(token.scopes)}{ended}")


@tokens.command()
@click.argument("token")
@_JSON
def revoke(token: str, as_json: bool) -> None:
    """End TOKEN (an id or a name) at once."""
    from halley.control.asks import Named, Tokens

    (ended,) = ask("tokens.revoke", Named(token), Tokens).tokens
    if as_json:
        click.echo(msgspec.json.encode(ended))
    else:
        click.echo(f"Revoked {ended.name} ({ended.id}).", err=True)
