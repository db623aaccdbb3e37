"""The commands `usage by`, `usage projection` and `usage latency`, for the operator."""

from datetime import datetime

import click

from dominion.cli.admin.gateway import Admin, admin_options
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, print_json, printable

GROUPS = ("provider", "model", "day", "customer", "user")
SUMS = ("requests", "failed", "broken", "cancelled", "error_rate", "input_tokens", "output_tokens", "cost_usd")
OF_USERS = ("requests", "total_tokens", "cost_usd")
DAY = click.DateTime(["%Y-%m-%d"])


@click.command(
    cls=Command,
    examples=["usage by provider", "usage by customer --month 2026-10", "usage by day --from 2026-01-01"],
)
@click.argument("group", type=click.Choice(GROUPS))
@click.option("--month", type=click.DateTime(["%Y-%m"]), help="A month (UTC), as 2026-10; else this one.")
@click.option("--from", "first", type=DAY, help="The first day (UTC).")
@click.option("--to", "last", type=DAY, help="The last day (UTC).")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many at most.")
@admin_options
def by(
    admin: Admin,
    group: str,
    month: datetime | None,
    first: datetime | None,
    last: datetime | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show who or what it went to: by provider, model, day, customer or user. Those of customers and users are kept for
    whole months."""
    days = {name: f"{day:%Y-%m-%d}" for name, day in (("from", first), ("to", last)) if day is not None}
    period = {"month": f"{month:%Y-%m}"} if month is not None else {}
    found = admin.call("GET", "/admin/usage/by", group=group, limit=limit, **period, **days)
    if as_json:
        print_json(found)
        return
    name, sums = ("user_id", OF_USERS) if group == "user" else (group, SUMS)
    rows = [[row[name] or "-", *(row[sum_] for sum_ in sums)] for row in found["rows"]]
    rows.append(["total", *(found["totals"][sum_] for sum_ in sums)])
    print_table([heading.replace("_", " ").upper() for heading in (name, *sums)], rows)
    if found["more"]:
        click.echo("There are more: --limit takes up to 1000.", err=True)


@click.command(cls=Command, examples=["usage projection", "usage projection --provider openai"])
@click.option("--user", help="Only of this user.")
@click.option("--provider", help="Only at this provider.")
@admin_options
def projection(admin: Admin, user: str | None, provider: str | None, *, as_json: bool) -> None:
    """Show where the month leads: what it will have cost if it goes on like this."""
    found = admin.call("GET", "/admin/usage/projection", user_id=user, provider=provider)
    if as_json:
        print_json(found)
        return
    click.echo(printable(found["text"]))
    click.echo(f"So far in {found['month']}: {found['spent_usd']} US dollars")
    if found["by_month_usd"] is not None:
        click.echo(f"As the month went: {found['by_month_usd']}")
    click.echo(f"As the last seven days went: {found['by_week_usd']}")


@click.command(cls=Command, examples=["usage latency", "usage latency --hours 1 --json"])
@click.option("--hours", type=click.IntRange(1, 366 * 24), default=24, show_default=True, help="How far back.")
@admin_options
def latency(admin: Admin, hours: int, *, as_json: bool) -> None:
    """Show how fast each model answered and how often it failed, in the newest 2,000 requests."""
    found = admin.call("GET", "/admin/usage/latency", hours=hours)
    if as_json:
        print_json(found)
        return
    names = ("provider", "model", "requests", "failed", "broken", "cancelled", "error_rate", "tokens_per_second")
    percents = [(times, percent) for times in ("latency_ms", "first_byte_ms") for percent in ("p50", "p95", "p99")]
    print_table(
        [name.replace("_", " ").upper() for name in (*names, *(f"{times} {percent}" for times, percent in percents))],
        (
            [*(row[name] for name in names), *((row[times] or {}).get(percent) for times, percent in percents)]
            for row in found["rows"]
        ),
    )
    if found["newest_only"]:
        click.echo(f"The newest requests only, since {found['from']}.", err=True)
