"""The command `audit verify`: whether the audit log is as it was written."""

import asyncio
from pathlib import Path

import click

from dominion.app.beside.audit_check import check_audit_log
from dominion.cli.exits import FAILED
from dominion.cli.terminal import Command, json_option, note, print_json
from dominion.client.config_file import Surroundings
from dominion.config import load
from dominion.rules.audit_chain import BEGINNING, HASH_BYTES, Anchor, anchors_in


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


def _anchors_of(ctx: click.Context, param: click.Parameter, file: Path | None) -> list[Anchor]:
    """Those in a file, line by line: a log may be long."""
    if file is None:
        return []
    with file.open(errors="replace") as lines:
        found = [anchor for line in lines for anchor in anchors_in(line)]
    if not found:
        raise click.BadParameter(f"There is no anchor in {file}.", ctx, param)
    return found


@audit.command(
    cls=Command, examples=["audit verify", "audit verify --anchor 1042:9f86d081884c7d65", "audit verify --anchors log"]
)
@click.option(
    "--anchor", type=AnchorKind(), metavar="NUMBER:HASH", multiple=True, help="What an earlier check printed."
)
@click.option(
    "--anchors",
    "of_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_anchors_of,
    help="A file with anchors in it: the gateway's log, or what a webhook was sent.",
)
@json_option
@click.pass_context
def verify(ctx: click.Context, *, anchor: tuple[Anchor, ...], of_file: list[Anchor], as_json: bool) -> None:
    """Find every entry that was changed, taken away, put in or moved.

    That the end of the log was cut off, or that somebody with the sealing key wrote it anew, shows only against an
    anchor: keep the one that this command prints, and those that the gateway sends and logs, where who can change the
    database cannot change them.
    """
    around = Surroundings.real()
    anchors = [*anchor, *of_file]
    found = asyncio.run(check_audit_log(load(around.environ, None, around.folder), anchors))
    head = str(found.head)
    if as_json:
        faults = [fault._asdict() for fault in found.faults]
        print_json({"entries": found.head.number, "anchor": head, "wrong": found.wrong, "faults": faults})
    else:
        for fault in found.faults:
            note(fault.what)
        held = f" Anchors: {len(set(anchors))}." if anchors else ""
        click.echo(f"Entries: {found.head.number}. Wrong: {found.wrong}.{held}")
        click.echo(f"Anchor: {head}")
    if found.wrong:
        ctx.exit(FAILED)
