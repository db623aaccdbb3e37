"""The commands `providers models|recommend|estimate|difference|audit`: what models cost, and who changed what."""

from typing import Any

import click
import msgspec

from dominion.cli.admin.gateway import Admin, admin_options, path_of
from dominion.cli.exits import FAILED
from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, note, print_json, printable

TASKS = ("chat", "summary", "extraction", "code", "reasoning", "vision")
AUDITED = ("number", "at", "actor", "action", "subject", "before", "after")

input_option = click.option("--input", "given", type=click.IntRange(1), default=1000, show_default=True, help="Tokens.")
output_option = click.option("--output", "made", type=click.IntRange(1), default=500, show_default=True, help="Tokens.")


@click.command(cls=Command, examples=["providers models openai", "providers models openai --json"])
@click.argument("provider")
@admin_options
def models(admin: Admin, provider: str, *, as_json: bool) -> None:
    """List the models of a provider, its default first; prices are in US dollars per million tokens."""
    found = admin.call("GET", path_of("admin", "providers", provider, "models"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("MODEL", "NAME", "DEFAULT", "CONTEXT", "MAX OUTPUT", "INPUT $/M", "OUTPUT $/M"),
        (
            (
                row["id"],
                row["name"],
                "default" if row["default"] else "",
                row["context_window"],
                row["max_output"],
                row["input_usd_per_million"],
                row["output_usd_per_million"],
            )
            for row in found["models"]
        ),
    )
    if found["note"]:
        note(printable(f"{found['note']} These are the models that are known of it."))


@click.command(
    cls=Command, examples=["providers recommend --budget 0.05 --task code", "providers recommend --budget 1"]
)
@click.option("--budget", required=True, help="US dollars that one run may cost.")
@click.option("--task", type=click.Choice(TASKS), default="chat", show_default=True, help="What it is for.")
@admin_options
def recommend(admin: Admin, budget: str, task: str, *, as_json: bool) -> None:
    """Name a model for a task and a budget; exit code 1 when there is none."""
    found = admin.call("GET", "/admin/models/recommend", budget=budget.removeprefix("$"), task=task)
    if as_json:
        print_json(found)
    else:
        click.echo(printable(found["model"] or "-"))
        note(printable(found["message"]))
    if found["model"] is None:
        raise click.exceptions.Exit(FAILED)


@click.command(cls=Command, examples=["providers estimate gpt-4o --input 1000 --output 500"])
@click.argument("model")
@input_option
@output_option
@admin_options
def estimate(admin: Admin, model: str, given: int, made: int, *, as_json: bool) -> None:
    """Tell what a run with so many tokens costs, in US dollars."""
    found = admin.call("GET", "/admin/models/estimate", model=model, input=given, output=made)
    if as_json:
        print_json(found)
    else:
        click.echo(printable(f"{found['model']}: ${found['cost_usd']}"))


@click.command(cls=Command, examples=["providers difference gpt-4o claude-sonnet-4-5 --input 4000 --output 2000"])
@click.argument("first")
@click.argument("second")
@input_option
@output_option
@admin_options
def difference(admin: Admin, first: str, second: str, given: int, made: int, *, as_json: bool) -> None:
    """Tell what a run costs more with the second model than with the first."""
    query: dict[str, Any] = {"from": first, "to": second, "input": given, "output": made}
    found = admin.call("GET", "/admin/models/difference", **query)
    if as_json:
        print_json(found)
    else:
        click.echo(printable(found["message"]))


@click.command(cls=Command, examples=["providers audit", "providers audit --provider openai --after 100 --json"])
@click.option("--provider", help="Only of this one.")
@click.option("--after", type=click.IntRange(0), default=0, help="Begin after the entry with this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many at most.")
@admin_options
def audit(admin: Admin, provider: str | None, after: int, limit: int, *, as_json: bool) -> None:
    """Show who changed what, oldest first; of keys only the end."""
    subject = None if provider is None else f"provider:{provider}"
    page = admin.call("GET", "/admin/audit", subject=subject, after=after, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = ([_cell(entry[name]) for name in AUDITED] for entry in page["entries"])
    print_table([name.upper() for name in AUDITED], rows)
    if page["next"]:
        note(f"There are more: --after {page['next']}")


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value
