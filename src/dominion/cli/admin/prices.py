"""The commands `prices` and `usage reconcile`, for the operator."""

import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from dominion.cli.admin.gateway import Admin, admin_options
from dominion.cli.exits import FAILED
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, note, print_json
from dominion.domain.usage import nano_from_usd, usd
from dominion.rules.prices.reconcile import Drift, Side, Told, beyond, compare, read_export

PARTS = ("input", "output", "cache_read", "cache_write")
DAY = click.DateTime(["%Y-%m-%d"])


class Model(click.ParamType[tuple[str, str]]):
    """A provider and a model."""

    name = "provider/model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """As `name` says."""
        provider, _, model = str(value).partition("/")
        if not provider or not model:
            self.fail(f"{value!r} is not of the form provider/model", param, ctx)
        return provider, model


@click.group()
def prices() -> None:
    """Show and set what models cost, in US dollars per million tokens."""


@prices.command("list", cls=Command, examples=["prices list", "prices list --json"])
@admin_options
def list_prices(admin: Admin, *, as_json: bool) -> None:
    """List the price of every model that can be asked, and where it comes from."""
    _show(admin.call("GET", "/admin/prices"), ("provider", "model", "source"), as_json=as_json)


@prices.command("history", cls=Command, examples=["prices history openai/gpt-4o"])
@click.argument("model", type=Model())
@admin_options
def show_history(admin: Admin, model: tuple[str, str], *, as_json: bool) -> None:
    """List all prices of a model, in the order in which they begin."""
    found = admin.call("GET", "/admin/prices/history", provider=model[0], model=model[1])
    _show(found, ("valid_from", "source", "note"), as_json=as_json)


@prices.command(
    "set",
    cls=Command,
    examples=[
        "prices set openai/gpt-4o --input 2.50 --output 10 --cache-read 1.25",
        "prices set mine/* --input 0.1 --output 0.4 --from 2026-12-01 --note 'new contract'",
    ],
)
@click.argument("model", type=Model())
@click.option("--input", required=True, help="A million tokens of input.")
@click.option("--output", required=True, help="A million tokens of output.")
@click.option("--cache-read", help="Input that is read from a cache; else as input.")
@click.option("--cache-write", help="Input that is written to a cache; else as input.")
@click.option("--cache-write-1h", "cache_write_1h", help="The same for an hour; else as other writes.")
@click.option("--from", "valid_from", help="2026-12-01 or 2026-12-01T12:00:00Z, UTC; else from now on.")
@click.option("--note", "why", default="", help="Why, for those who read the history.")
@click.option(
    "--confirm", is_flag=True, help="Take it even if it is a hundred times, or a hundredth of, the one before."
)
@admin_options
def set_price(
    admin: Admin,
    model: tuple[str, str],
    valid_from: str | None,
    why: str,
    *,
    confirm: bool,
    as_json: bool,
    **amounts: str | None,
) -> None:
    """Set the price of a model from a time on; "*" is every model of a provider without a price of its own.

    What was charged before stays; `prices reprice` corrects it.
    """
    given = {f"{part}_usd_per_million": amount for part, amount in amounts.items() if amount is not None}
    fields = {"provider": model[0], "model": model[1], "note": why, "confirm": confirm, **given}
    if valid_from is not None:
        fields["valid_from"] = valid_from
    added = admin.call("POST", "/admin/prices", fields)
    _show({"prices": [added], **added}, ("provider", "model", "valid_from"), as_json=as_json)


@prices.command("reprice", cls=Command, examples=["prices reprice --from 2026-11-01 --to 2026-11-30 --dry-run"])
@click.option("--from", "first", required=True, type=DAY, help="The first day (UTC).")
@click.option("--to", "last", required=True, type=DAY, help="The last day (UTC).")
@click.option("--dry-run", is_flag=True, help="Only say what would be corrected.")
@admin_options
def reprice(admin: Admin, first: datetime, last: datetime, *, dry_run: bool, as_json: bool) -> None:
    """Apply the prices of now to what was charged from one day to another.

    Nothing is edited: rows are added that correct. Run again, it corrects nothing more.
    """
    fields = {"from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}", "dry_run": dry_run}
    told = admin.call("POST", "/admin/prices/reprice", fields)
    if as_json:
        print_json(told)
        return
    names = ("provider", "model", "corrections", "difference_usd")
    rows = [[row[name] for name in names] for row in told["models"]]
    rows.append(["total", "", told["corrections"], told["difference_usd"]])
    print_table([name.replace("_", " ").upper() for name in names], rows)


@click.command(cls=Command, examples=["usage reconcile usage.csv --provider openai"])
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--provider", required=True, help="Whose file it is.")
@click.option("--percent", type=Decimal, default=Decimal(1), show_default=True, help="Drift up to this share is none.")
@click.option("--least-usd", default="0.01", show_default=True, help="Drift up to this amount is none.")
@admin_options
def reconcile(admin: Admin, file: Path, provider: str, percent: Decimal, least_usd: str, *, as_json: bool) -> None:
    """Compare the ledger with the usage or the costs that a provider lets you export.

    Prints how far the provider's numbers are from ours, by day and model, and exits with 1 where money drifts further
    than allowed (or tokens at all, where the file tells no money).
    """
    try:
        least_nano = nano_from_usd(least_usd)
        theirs = read_export(file.read_text("utf-8-sig"))
    except ValueError as error:
        raise click.UsageError(f"{file.name}: {error}") from error
    if not theirs:
        raise click.UsageError(f"{file.name}: the file tells of no usage.")
    days = sorted(day for day, _ in theirs)
    drifts = compare(_ours(admin, provider, days[0], days[-1]), theirs)
    far = beyond(drifts, percent=percent, least_nano=least_nano)
    if as_json:
        print_json({"drifts": [_drift(drift, far=drift in far) for drift in drifts], "beyond": len(far)})
    else:
        shown = [_drift(drift, far=drift in far) for drift in drifts]
        print_table([name.replace("_", " ").upper() for name in shown[0]], [list(row.values()) for row in shown])
        note(f"{len(far)} of {len(drifts)} drift further than allowed.")
    if far:
        sys.exit(FAILED)


def _ours(admin: Admin, provider: str, first: str, last: str) -> Side:
    side: Side = {}
    for row in admin.pages("/admin/usage", **{"from": first, "to": last})["rows"]:
        if row["provider"] == provider:
            nano = nano_from_usd(row["cost_usd"].removeprefix("-")) * (-1 if row["cost_usd"].startswith("-") else 1)
            told = Told(row["input_tokens"], row["output_tokens"], nano)
            side.setdefault((row["day"], row["model"]), Told()).add(told)
    return side


def _drift(drift: Drift, *, far: bool) -> dict[str, Any]:
    """Their numbers less ours; None: the file does not say."""
    return {
        "day": drift.day,
        "model": drift.model or "all models",
        "input_tokens": drift.input_tokens,
        "output_tokens": drift.output_tokens,
        "our_usd": usd(drift.our_nano),
        "their_usd": None if drift.their_nano is None else usd(drift.their_nano),
        "drift_usd": None if drift.nano is None else usd(drift.nano),
        "beyond": far,
    }


def _show(told: dict[str, Any], names: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    headings = (
        *(name.upper().replace("_", " ") for name in names),
        *(f"{part.replace('_', ' ').upper()} $/M" for part in PARTS),
    )
    print_table(
        headings,
        (
            [*(row.get(name) for name in names), *(row[f"{part}_usd_per_million"] for part in PARTS)]
            for row in told["prices"]
        ),
    )
