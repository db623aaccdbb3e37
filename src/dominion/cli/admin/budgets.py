"""The command `budgets`, for the operator."""

from typing import Any

import click

from dominion.cli.admin.gateway import Admin, admin_options, path_of
from dominion.cli.admin.limits import LIFTED, Count, Dollars
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, print_json, printable


@click.group()
def budgets() -> None:
    """Limits of keys, providers, customers and runs, and what is set aside now."""


@budgets.command("list", cls=Command, examples=["budgets list", "budgets list --json"])
@admin_options
def list_budgets(admin: Admin, *, as_json: bool) -> None:
    """List all budgets, with what is used of them."""
    found = admin.call("GET", "/admin/budgets")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["scope"],
            ", ".join(
                f"{name}={value}" for name, value in one["limits"].items() if value is not None and name != "alerts"
            ),
            one.get("today", {}).get("used_usd"),
            one.get("month", one.get("used", {})).get("used_usd"),
        )
        for one in found["budgets"]
    ]
    print_table(("SCOPE", "LIMITS", "TODAY, USD", "MONTH, USD"), rows)


@budgets.command(
    "set",
    cls=Command,
    examples=[
        "budgets set provider:openai --daily-spend-cap-usd 20 --monthly-spend-cap-usd 300 --alert 80",
        "budgets set 'run:*' --soft-run-tokens 50000 --hard-run-tokens 200000",
        "budgets set customer:acme --monthly-spend-cap-usd none",
    ],
)
@click.argument("scope")
@click.option("--daily-spend-cap-usd", type=Dollars(), help="US dollars a day.")
@click.option("--monthly-spend-cap-usd", type=Dollars(), help="US dollars a month.")
@click.option("--daily-requests", type=Count(), help="Requests a day.")
@click.option("--daily-tokens", type=Count(), help="Tokens a day.")
@click.option("--concurrent-requests", type=Count(), help="Requests at the same time.")
@click.option("--requests-per-minute", type=Count(), help="Requests a minute.")
@click.option("--soft-run-tokens", type=Count(), help="Tokens of a run above which answers carry a warning.")
@click.option("--hard-run-tokens", type=Count(), help="Tokens of a run above which it is refused.")
@click.option("--alert", "alerts", type=int, multiple=True, help="Percent of a limit to be told of; may be repeated.")
@admin_options
def set_budget(
    admin: Admin, scope: str, alerts: tuple[int, ...], *, as_json: bool, **changes: int | str | None
) -> None:
    """Set limits of SCOPE: key:ID, provider:ID, customer:LABEL, run:LABEL or run:*; "none" lifts one."""
    given: dict[str, Any] = {
        name: None if value == LIFTED else value for name, value in changes.items() if value is not None
    }
    if alerts:
        given["alerts"] = list(alerts)
    if not given:
        raise click.UsageError("Name at least one limit.")
    told = admin.call("PUT", "/admin/budgets", {"scope": scope, **given})
    if as_json:
        print_json(told)
        return
    for name, value in told["limits"].items():
        if value is not None:
            click.echo(printable(f"{name}: {value}"))


@budgets.command("holds", cls=Command, examples=["budgets holds"])
@admin_options
def list_holds(admin: Admin, *, as_json: bool) -> None:
    """List what is set aside for requests that run."""
    found = admin.call("GET", "/admin/holds")
    if as_json:
        print_json(found)
        return
    names = ("id", "user_id", "provider", "model", "seconds", "tokens", "usd")
    print_table([name.upper() for name in names], ([hold[name] for name in names] for hold in found["holds"]))


@budgets.command("release", cls=Command, examples=["budgets release REQUEST_ID"])
@click.argument("request_id")
@admin_options
def release_hold(admin: Admin, request_id: str, *, as_json: bool) -> None:
    """Give back what is set aside for a request that seems stuck; it is charged when it ends."""
    told = admin.call("POST", path_of("admin", "holds", request_id, "release"))
    if as_json:
        print_json(told)
    else:
        click.echo(printable(f"{told['released_usd']} US dollars and {told['released_tokens']} tokens are free again."))
