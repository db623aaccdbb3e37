"""The command `audit verify`: whether the audit log is as it was written."""

import asyncio

import click

from dominion.app.audit_check import check_audit_log
from dominion.cli.exits import FAILED
from dominion.cli.terminal import Command, json_option, note, print_json
from dominion.client.config_file import Surroundings
from dominion.config import load
from dominion.rules.audit_chain import BEGINNING, HASH_BYTES, Anchor


class AnchorKind(click.ParamType[Anchor]):
    """An anchor as `audit verify` prints it: the number of an entry, a colon, its hash in hex digits."""

    name = "anchor"

    def convert(self, value: str | Anchor, param: click.Parameter | None, ctx: click.Context | None) -> Anchor:
        """Click's own error when it is none."""
        if isinstance(value, Anchor):
            return value
        number, _, digits = value.partition(":")
        try:
            anchor = Anchor(int(number), bytes.fromhex(digits))
            if anchor != Anchor(0, BEGINNING) and (anchor.number < 1 or len(anchor.hash) != HASH_BYTES):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not of the form NUMBER:HASH, as an earlier `audit verify` printed it.", param, ctx)
        return anchor


@click.group()
def audit() -> None:
    """Check the log of what operators changed.

    Works on the data folder or database that the configuration here names, beside a running gateway or without one.
    """


@audit.command(cls=Command, examples=["audit verify", "audit verify --anchor 1042:9f86d081884c7d65"])
@click.option("--anchor", type=AnchorKind(), metavar="NUMBER:HASH", help="What an earlier check printed.")
@json_option
@click.pass_context
def verify(ctx: click.Context, *, anchor: Anchor | None, as_json: bool) -> None:
    """Find every entry that was changed, taken away, put in or moved.

    That the end of the log was cut off, or that somebody with the sealing key wrote it anew, shows only against an
    anchor: keep the one that this command prints where who can change the database cannot change it.
    """
    around = Surroundings.real()
    found = asyncio.run(check_audit_log(load(around.environ, None, around.folder), anchor))
    head = f"{found.head.number}:{found.head.hash.hex()}"
    if as_json:
        faults = [fault._asdict() for fault in found.faults]
        print_json({"entries": found.head.number, "anchor": head, "wrong": found.wrong, "faults": faults})
    else:
        for fault in found.faults:
            note(fault.what)
        click.echo(f"Entries: {found.head.number}. Wrong: {found.wrong}.")
        click.echo(f"Anchor: {head}")
    if found.wrong:
        ctx.exit(FAILED)
