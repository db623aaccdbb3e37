"""The commands `users` and `keys`, for the operator."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from dominion.cli.admin.gateway import Admin, admin_options, path_of
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, print_json, printable

SHOWN = ("id", "name", "last4", "created_at", "expires_at", "revoked_at")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[int]):
    """Seconds, written as a whole number and a unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As `name` says."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is not a number with a unit: 90s, 30m, 24h or 7d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


DURATION = Duration()


@click.group()
def users() -> None:
    """Make, list, suspend and activate users."""


@users.command("list", cls=Command, examples=["users list", "users list --limit 1000 --json"])
@click.option("--after", help="Begin after the user with this id.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many at most.")
@admin_options
def list_users(admin: Admin, after: str | None, limit: int, *, as_json: bool) -> None:
    """List users, in the order of their ids."""
    page = admin.call("GET", "/admin/users", after=after, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(
        ("ID", "NAME", "EMAIL", "STATUS", "CREATED"),
        ([user[name] for name in ("id", "name", "email", "status", "created_at")] for user in page["users"]),
    )
    if page.get("next"):
        click.echo(f"There are more: --after {page['next']}", err=True)


@users.command("create", cls=Command, examples=["users create 'Ada Lovelace' --email ada@example.com"])
@click.argument("name")
@click.option("--email", help="To recognise the user by.")
@admin_options
def create_user(admin: Admin, name: str, email: str | None, *, as_json: bool) -> None:
    """Make a user with the default limits. A key for it comes from `keys create`."""
    _show_user(admin.call("POST", "/admin/users", {"name": name, "email": email}), as_json=as_json)


@users.command("show", cls=Command, examples=["users show USER_ID"])
@click.argument("user_id")
@admin_options
def show_user(admin: Admin, user_id: str, *, as_json: bool) -> None:
    """Show one user, with limits."""
    _show_user(admin.call("GET", path_of("admin", "users", user_id)), as_json=as_json)


@users.command("suspend", cls=Command, examples=["users suspend USER_ID"])
@click.argument("user_id")
@admin_options
def suspend_user(admin: Admin, user_id: str, *, as_json: bool) -> None:
    """Suspend a user; its next request is refused."""
    _show_user(admin.call("POST", path_of("admin", "users", user_id, "suspend")), as_json=as_json)


@users.command("activate", cls=Command, examples=["users activate USER_ID"])
@click.argument("user_id")
@admin_options
def activate_user(admin: Admin, user_id: str, *, as_json: bool) -> None:
    """Activate a suspended user."""
    _show_user(admin.call("POST", path_of("admin", "users", user_id, "activate")), as_json=as_json)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke keys of users."""


@keys.command("create", cls=Command, examples=["keys create USER_ID --name laptop --expires-in 90d"])
@click.argument("user_id")
@click.option("--name", help="To recognise the key by.")
@click.option("--expires-in", type=DURATION, help="How long it works, as 90d or 12h; for ever without it.")
@admin_options
def create_key(admin: Admin, user_id: str, name: str | None, expires_in: int | None, *, as_json: bool) -> None:
    """Make a key. It is shown this once and kept nowhere."""
    fields = {"user_id": user_id, "name": name}
    if expires_in is not None:
        fields["expires_at"] = (datetime.now(UTC) + timedelta(seconds=expires_in)).isoformat()
    _show_key(admin.call("POST", "/admin/keys", fields), as_json=as_json)


@keys.command("rotate", cls=Command, examples=["keys rotate KEY_ID", "keys rotate KEY_ID --overlap 1h"])
@click.argument("key_id")
@click.option("--overlap", type=DURATION, default="24h", show_default=True, help="How long the old key still works.")
@admin_options
def rotate_key(admin: Admin, key_id: str, overlap: int, *, as_json: bool) -> None:
    """Make a key in place of another one, which works on until the overlap ends."""
    key = admin.call("POST", path_of("admin", "keys", key_id, "rotate"), {"overlap_seconds": overlap})
    _show_key(key, as_json=as_json)
    if not as_json:
        click.echo(f"Key {key['replaces']['id']} works until {key['replaces']['expires_at']}.", err=True)


@keys.command("list", cls=Command, examples=["keys list USER_ID"])
@click.argument("user_id")
@admin_options
def list_keys(admin: Admin, user_id: str, *, as_json: bool) -> None:
    """List the keys of a user, without their secrets."""
    found = admin.call("GET", "/admin/keys", user_id=user_id)
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "LAST 4", "CREATED", "EXPIRES", "REVOKED"),
        ([key.get(name) for name in SHOWN] for key in found["keys"]),
    )


@keys.command("revoke", cls=Command, examples=["keys revoke KEY_ID"])
@click.argument("key_id")
@admin_options
def revoke_key(admin: Admin, key_id: str, *, as_json: bool) -> None:
    """Revoke a key; the next request with it is refused."""
    key = admin.call("DELETE", path_of("admin", "keys", key_id))
    if as_json:
        print_json(key)
    else:
        click.echo(f"Key {key['id']} is revoked since {key['revoked_at']}.")


def _show_key(key: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    click.echo(f"Key {key['id']} of user {key['user_id']}; it is shown only now:")
    click.echo(key["api_key"])


def _show_user(user: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(user)
        return
    for label, name in (("User ID", "id"), ("Name", "name"), ("Email", "email"), ("Status", "status")):
        click.echo(printable(f"{label}: {user[name] or '-'}"))
