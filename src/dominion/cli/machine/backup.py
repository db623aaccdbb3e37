"""The commands `backup` and `restore`: the database in one file, also while the gateway serves, and back again."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click

from dominion.app.place import journals
from dominion.app.world import keys_place
from dominion.cli.terminal import Command, json_option, note, print_json
from dominion.config import Settings, load
from dominion.domain.errors import ConfigProblem
from dominion.domain.usage import usd
from dominion.stores.backup import archives as files
from dominion.stores.backup import postgres
from dominion.stores.backup.archives import POSTGRES, SQLITE, Manifest, key_mark

FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
KEY_STATES = {
    "backed up": "The sealing key is in it: keep it as you keep the key.",
    "not backed up": "The sealing key is not in it; keep that elsewhere. Without it no key and no credential works.",
    "here": "The sealing key that belongs to it is here.",
    "restored": "The sealing key was restored, too.",
    "missing": "Warning: the sealing key that belongs to it is neither in the backup nor here. Nothing that was sealed "
    "can be opened: put that key in its place before the gateway starts, or make callers' keys and credentials anew.",
}


class Done(NamedTuple):
    """What a command did. `key` is one of KEY_STATES."""

    manifest: Manifest
    key: str


@click.command(cls=Command, examples=["backup dominion.backup", "backup --with-key dominion.backup"])
@FILE
@click.option("--with-key", is_flag=True, help="Also put the sealing key into it: whoever has the file has everything.")
@json_option
def backup(file: Path, *, with_key: bool, as_json: bool) -> None:
    """Copy the database into FILE, with the rows that the journal still holds. The gateway may run meanwhile."""
    _report(f"Wrote {file}", asyncio.run(_backup(load(os.environ), file, with_key=with_key)), as_json=as_json)


@click.command(cls=Command, examples=["restore dominion.backup", "restore --force dominion.backup"])
@FILE
@click.option("--force", is_flag=True, help="Replace the database (and the sealing key) that are here.")
@json_option
def restore(file: Path, *, force: bool, as_json: bool) -> None:
    """Put the database in FILE in its place. The gateway must not run; nothing that exists is replaced without --force.

    A database file that is replaced stays beside the new one as *.before-restore.
    """
    _report(f"Restored {file}", _restore(load(os.environ), file, force=force), as_json=as_json)


def _report(did: str, done: Done, *, as_json: bool) -> None:
    rows, cost = done.manifest.rows, usd(done.manifest.cost_nano)
    if as_json:
        print_json({"rows": rows, "cost_usd": cost, "made_at": done.manifest.made_at, "sealing_key": done.key})
        return
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(done.manifest.made_at))
    click.echo(f"{did}: {rows} rows of the ledger, {cost} US dollars, as of {made}.")
    note(KEY_STATES[done.key])


async def _backup(settings: Settings, file: Path, *, with_key: bool) -> Done:
    if not settings.data_dir.is_dir():
        raise ConfigProblem(
            f"There is no gateway in {settings.data_dir}.", action="Set DOMINION_DATA_DIR to its folder."
        )
    place, address = keys_place(settings), _postgres(settings)
    keys = place.read()
    made_at = int(time.time())
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=settings.data_dir) as folder:
        copy = Path(folder) / "database"
        if address:
            rows, nano = postgres.dump(address, copy)
        else:
            rows, nano = await files.copy_sqlite(settings.sqlite_path, journals(settings.data_dir), copy)
        kind = POSTGRES if address else SQLITE
        manifest = Manifest(files.VERSION, kind, made_at, rows, nano, key_mark(keys, place))
        files.write(file, manifest, copy, keys if with_key else None)
    return Done(manifest, "backed up" if with_key else "not backed up")


def _restore(settings: Settings, file: Path, *, force: bool) -> Done:
    if files.in_use(journals(settings.data_dir)):
        raise ConfigProblem("The gateway runs.", action="Stop it, restore, and start it again.")
    address = _postgres(settings)
    folder = settings.data_dir if address else settings.sqlite_path.parent
    for each in (settings.data_dir, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.read(file, folder) as (manifest, copy, keys):
        here = POSTGRES if address else SQLITE
        if manifest.database != here:
            raise ConfigProblem(
                f"The backup is of {manifest.database}, and this gateway is set to {here}.",
                action="Set DATABASE_URL as it was where the backup was made.",
            )
        exists = not postgres.is_empty(address) if address else settings.sqlite_path.exists()
        if exists and not force:
            raise ConfigProblem("There is a database already.", action="Use --force to replace it.")
        if not address:
            _expect(manifest, files.sums_of(copy))
        key = _place_key(settings, manifest, keys, force=force)
        if address:
            _expect(manifest, postgres.load(address, copy))
        else:
            files.put_in_place(copy, settings.sqlite_path)
    return Done(manifest, key)


def _postgres(settings: Settings) -> str:
    """The address of PostgreSQL; "" for SQLite."""
    return settings.database_url.reveal() if settings.database_url else ""


def _expect(manifest: Manifest, found: tuple[int, int]) -> None:
    if found != (manifest.rows, manifest.cost_nano):
        raise ConfigProblem(f"The backup is damaged: it holds {found[0]} rows where {manifest.rows} should be.")


def _place_key(settings: Settings, manifest: Manifest, keys: str | None, *, force: bool) -> str:
    """See to the sealing key; what became of it, as KEY_STATES has it."""
    place = keys_place(settings)
    present = place.read()
    if key_mark(present, place) == manifest.key_mark:
        return "here"
    if keys is None:
        return "missing"
    if present is not None and not force:
        raise ConfigProblem(f"{place.name} holds another sealing key.", action="Use --force to replace it.")
    place.replace(present, keys)
    return "restored"
