"""The commands `limits` and `usage`, for the operator."""

from datetime import datetime
from typing import Any

import click

from dominion.cli.admin.gateway import Admin, admin_options, path_of
from dominion.cli.lazy import Lazy, Place
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, print_json
from dominion.domain.usage import nano_from_usd

LIFTED = "none"
LABELS = {
    "daily_requests": "Daily requests",
    "daily_tokens": "Daily tokens",
    "monthly_spend_cap_usd": "Monthly spend, US dollars",
    "concurrent_requests": "Concurrent requests",
    "requests_per_minute": "Requests per minute",
}
SUMS = ("requests", "failed", "input_tokens", "output_tokens", "cost_usd")


class Count(click.ParamType[int | str]):
    """A whole number, or "none"."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """As `name` says."""
        if str(value).lower() == LIFTED:
            return LIFTED
        if not str(value).isdecimal():
            self.fail(f"{value!r} is neither a whole number nor {LIFTED!r}", param, ctx)
        return int(value)


class Dollars(click.ParamType[str]):
    """An amount of US dollars, or "none"."""

    name = "dollars|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As `name` says; the amount stays decimal text."""
        text = str(value).lower().removeprefix("$")
        if text != LIFTED:
            try:
                nano_from_usd(text)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return text


@click.group()
def limits() -> None:
    """Show and set the limits of a user."""


@limits.command("show", cls=Command, examples=["limits show USER_ID"])
@click.argument("user_id")
@admin_options
def show_limits(admin: Admin, user_id: str, *, as_json: bool) -> None:
    """Show the limits of a user."""
    _show(admin.call("GET", path_of("admin", "users", user_id)), as_json=as_json)


@limits.command(
    "set",
    cls=Command,
    examples=[
        "limits set USER_ID --daily-requests 500 --monthly-spend-cap-usd 20",
        "limits set USER_ID --daily-tokens none",
    ],
)
@click.argument("user_id")
@click.option("--daily-requests", type=Count(), help="Requests a day.")
@click.option("--daily-tokens", type=Count(), help="Tokens a day.")
@click.option("--monthly-spend-cap-usd", type=Dollars(), help="US dollars a month.")
@click.option("--concurrent-requests", type=Count(), help="Requests at the same time.")
@click.option("--requests-per-minute", type=Count(), help="Requests a minute.")
@admin_options
def set_limits(admin: Admin, user_id: str, *, as_json: bool, **changes: int | str | None) -> None:
    """Set limits of a user; "none" lifts one, and what is not given stays. Holds from the next request on."""
    given = {name: None if value == LIFTED else value for name, value in changes.items() if value is not None}
    if not given:
        raise click.UsageError("Name at least one limit.")
    _show(admin.call("POST", "/admin/limits", {"user_id": user_id, **given}), as_json=as_json)


@click.command
@click.option("--user", help="Only of this user.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC); else of this month.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="The last day (UTC); else today.")
@admin_options
def show_usage(admin: Admin, user: str | None, first: datetime | None, last: datetime | None, *, as_json: bool) -> None:
    """Show what was used and what it costs, by day, user and model."""
    period = {name: f"{day:%Y-%m-%d}" for name, day in (("from", first), ("to", last)) if day is not None}
    found = admin.pages("/admin/usage", user_id=user, **period)
    if as_json:
        print_json(found)
        return
    names = ("day", "user_id", "provider", "model", *SUMS)
    rows = [[row[name] for name in names] for row in found["rows"]]
    rows.append(["total", "", "", "", *(found["totals"][name] for name in SUMS)])
    print_table([name.replace("_", " ").upper() for name in names], rows)


class WithExamples(Command, Lazy):
    """A command that has others below it."""


@click.group(
    cls=WithExamples,
    table={
        "by": Place("admin.analytics", "by", "Show who or what it went to."),
        "projection": Place("admin.analytics", "projection", "Show where the month leads."),
        "latency": Place("admin.analytics", "latency", "Show how fast models answer, and how often they fail."),
        "reconcile": Place("admin.prices", "reconcile", "Compare the ledger with what a provider says."),
    },
    examples=["usage", "usage --user USER_ID --from 2026-01-01 --to 2026-01-31 --json"],
    params=show_usage.params,
    invoke_without_command=True,
)
@click.pass_context
def usage(ctx: click.Context, /, **options: Any) -> None:
    """Show what was used and what it costs, by day, user and model."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(show_usage, **options)


def _show(user: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"user_id": user["id"], "limits": user["limits"]})
        return
    for name, label in LABELS.items():
        value = user["limits"][name]
        click.echo(f"{label}: {'unlimited' if value is None else value}")
