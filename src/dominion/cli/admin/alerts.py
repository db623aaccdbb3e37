"""The command `alerts`, for the operator."""

import click

from dominion.cli.admin.gateway import Admin, admin_options
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, print_json


@click.group()
def alerts() -> None:
    """What was told about limits, costs and providers, and whether it arrived."""


@alerts.command("list", cls=Command, examples=["alerts list", "alerts list --limit 20 --json"])
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@admin_options
def list_alerts(admin: Admin, limit: int, *, as_json: bool) -> None:
    """List the newest alerts."""
    found = admin.call("GET", "/admin/alerts", limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["at"],
            one["kind"],
            one["text"],
            ", ".join(f"{each['channel']}: {each['state']}" for each in one["deliveries"]),
        )
        for one in found["alerts"]
    ]
    print_table(("AT", "KIND", "WHAT", "DELIVERIES"), rows)


@alerts.command("test", cls=Command, examples=["alerts test"])
@admin_options
def send_test(admin: Admin, *, as_json: bool) -> None:
    """Send a test alert to every channel."""
    sent = admin.call("POST", "/admin/alerts/test")
    if as_json:
        print_json(sent)
    else:
        click.echo(f"On its way to: {', '.join(sent['channels'])}. `dominion alerts list` says whether it arrived.")
