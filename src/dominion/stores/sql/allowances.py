"""What processes lease of limits that they share. The statements of `processes` and `leases` are the constants.

The invariant, at each commit and for each window: what is settled and what is out (granted less posted, of all leases)
never exceed the limit. Grants are made under a lock on the row of the window; everybody locks windows in their order,
and leases after them, so nobody waits in a circle.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, case, delete, insert, select, text, update

from dominion.domain.allowances import NOTHING, Amount, Peer, Report, Taken, Want, WindowKey
from dominion.domain.records import UsageRow
from dominion.rules.limits.allowances import found_row, grant, lost_rows
from dominion.stores.schema.standings import leases, processes
from dominion.stores.schema.tables import usage, usage_windows
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger, window

QUANTITIES = ("requests", "tokens", "spend_nano")
_KEYS = ("scope", "kind", "number")
MAKE_WINDOW = text(
    "INSERT INTO usage_windows (scope, kind, number, requests, tokens, spend_nano) "
    "VALUES (:scope, :kind, :number, 0, 0, 0) ON CONFLICT (scope, kind, number) DO NOTHING"
)
LOCK_WINDOW = (
    select(usage_windows.c.number)
    .where(*(usage_windows.c[name] == bindparam(name) for name in _KEYS))
    .with_for_update()
)
_OF_WINDOW = tuple(leases.c[name] == bindparam(f"of_{name}") for name in _KEYS)
_OUT = tuple((leases.c[name] - leases.c[f"posted_{name}"]).label(f"out_{name}") for name in QUANTITIES)
LEASES_OF_WINDOW = select(leases.c.process_id, *_OUT).where(*_OF_WINDOW)
MAKE_LEASE = text(
    f"INSERT INTO leases ({', '.join(column.name for column in leases.c)}) "  # noqa: S608 - names of our own columns
    f"VALUES ({', '.join(f':{column.name}' for column in leases.c)}) "
    f"ON CONFLICT (process_id, scope, kind, number) DO UPDATE SET "
    + ", ".join(f"{name} = leases.{name} + excluded.{name}" for name in QUANTITIES)
)
RECALL = (
    update(leases).where(*_OF_WINDOW, leases.c.process_id.in_(bindparam("peers", expanding=True))).values(recall=True)
)
RECALLED = select(leases.c.scope, leases.c.kind, leases.c.number).where(
    leases.c.process_id == bindparam("process_id"), leases.c.recall
)
REPORT = (
    update(leases)
    .where(leases.c.process_id == bindparam("of_process"), *_OF_WINDOW)
    .values(
        {name: bindparam(f"to_{name}") for name in QUANTITIES}
        | {f"used_{name}": bindparam(f"to_used_{name}") for name in QUANTITIES}
        | {"recall": False}
    )
)
BEAT = (
    update(processes)
    .where(processes.c.process_id == bindparam("of_process"), processes.c.life == bindparam("of_life"))
    .where(~processes.c.lost)
    .values(beat=processes.c.beat + 1)
)
PEERS = select(processes)
LIFE = select(processes.c.life).where(processes.c.process_id == bindparam("process_id"))
BEGIN = insert(processes)
BEGIN_AGAIN = (
    update(processes)
    .where(processes.c.process_id == bindparam("of_process"))
    .values(life=processes.c.life + 1, beat=processes.c.beat + 1, lost=False)
)
FORGET = delete(processes).where(processes.c.process_id == bindparam("process_id"))
GIVE_BACK = delete(leases).where(leases.c.process_id == bindparam("process_id"))
FORGET_LEASE = delete(leases).where(leases.c.process_id == bindparam("of_process"), *_OF_WINDOW)
DECLARE_LOST = (
    update(processes)
    .where(
        processes.c.process_id == bindparam("of_process"),
        processes.c.life == bindparam("of_life"),
        processes.c.beat == bindparam("of_beat"),
        ~processes.c.lost,
    )
    .values(lost=True)
)
LEASES_OF_LOST = select(leases).where(leases.c.process_id == bindparam("process_id"))
KEEP_USED = (
    update(leases)
    .where(leases.c.process_id == bindparam("of_process"))
    .values(
        {
            name: case(
                (leases.c[f"used_{name}"] > leases.c[f"posted_{name}"], leases.c[f"used_{name}"]),
                else_=leases.c[f"posted_{name}"],
            )
            for name in QUANTITIES
        }
        | {"recall": False}
    )
)
FREE_CHARGED = delete(leases).where(
    leases.c.process_id == bindparam("process_id"),
    leases.c.scope.startswith("user:") | (leases.c.kind == "c"),
)
LOST_ROWS = select(usage).where(usage.c.id > bindparam("first"), usage.c.id < bindparam("end"))
PURGE = delete(leases).where(leases.c.kind == bindparam("kind"), leases.c.number < bindparam("number"))


class SqlAllowances:
    """`AllowanceStore` over a database; `ledger` writes the rows of lost processes."""

    def __init__(self, database: Database, ledger: SqlLedger) -> None:
        """Over an open database."""
        self._database = database
        self._ledger = ledger

    async def join(self, process_id: str) -> int:
        """See `AllowanceStore`."""

        def work(connection: Connection) -> int:
            if not connection.execute(BEGIN_AGAIN, {"of_process": process_id}).rowcount:
                connection.execute(BEGIN, {"process_id": process_id, "life": 1, "beat": 1, "lost": False})
            prefix = {"first": f"lost:{process_id}:", "end": f"lost:{process_id};"}
            rows = [UsageRow(*row) for row in connection.execute(LOST_ROWS, prefix)]
            self._ledger.add_in(connection, [found_row(row) for row in rows])
            connection.execute(GIVE_BACK, {"process_id": process_id})
            return int(connection.execute(LIFE, {"process_id": process_id}).scalar_one())

        return await self._database.write(work)

    async def leave(self, process_id: str) -> None:
        """See `AllowanceStore`."""

        def work(connection: Connection) -> None:
            connection.execute(GIVE_BACK, {"process_id": process_id})
            connection.execute(FORGET, {"process_id": process_id})

        await self._database.write(work)

    async def take(self, process_id: str, wants: Sequence[Want], peers: Sequence[str]) -> list[Taken]:
        """See `AllowanceStore`."""

        def work(connection: Connection) -> list[Taken]:
            in_order = sorted(wants, key=lambda want: want.window)
            for want in in_order:
                connection.execute(MAKE_WINDOW, _key(want.window))
                connection.execute(LOCK_WINDOW, _key(want.window))
            taken = {want.window: _take(connection, process_id, want, peers) for want in in_order}
            return [taken[want.window] for want in wants]

        return await self._database.write(work)

    async def recalled(self, process_id: str) -> list[WindowKey]:
        """See `AllowanceStore`."""
        return await self._database.read(
            lambda connection: [
                (scope, kind, number)
                for scope, kind, number in connection.execute(RECALLED, {"process_id": process_id})
            ]
        )

    async def report(self, process_id: str, life: int, reports: Sequence[Report]) -> list[Peer] | None:
        """See `AllowanceStore`."""

        def work(connection: Connection) -> list[Peer] | None:
            if not connection.execute(BEAT, {"of_process": process_id, "of_life": life}).rowcount:
                return None
            if reports:
                connection.execute(
                    REPORT, [_report(process_id, each) for each in sorted(reports, key=lambda each: each.window)]
                )
            return [Peer(*row) for row in connection.execute(PEERS)]

        return await self._database.write(work)

    async def forget(self, process_id: str, windows: Sequence[WindowKey]) -> None:
        """See `AllowanceStore`."""
        rows = [{"of_process": process_id, **_of(window)} for window in sorted(windows)]
        await self._database.write(lambda connection: connection.execute(FORGET_LEASE, rows))

    async def lose(self, peer: Peer, at: int) -> bool:
        """See `AllowanceStore`."""
        values = {"of_process": peer.process, "of_life": peer.life, "of_beat": peer.beat}

        def work(connection: Connection) -> bool:
            if not connection.execute(DECLARE_LOST, values).rowcount:
                return False
            used: dict[WindowKey, Amount] = {}
            for row in connection.execute(LEASES_OF_LOST, {"process_id": peer.process}).mappings():
                said = Amount(*(row[f"used_{name}"] - row[f"posted_{name}"] for name in QUANTITIES))
                used[row["scope"], row["kind"], row["number"]] = said.atleast(NOTHING)
            self._ledger.add_in(connection, lost_rows(peer, used, at))
            connection.execute(FREE_CHARGED, {"process_id": peer.process})
            connection.execute(KEEP_USED, {"of_process": peer.process})
            return True

        return await self._database.write(work)

    async def purge(self, day: int, month: int) -> None:
        """See `AllowanceStore`."""

        def work(connection: Connection) -> None:
            for kind, number in (("d", day - 2), ("m", month - 1)):
                connection.execute(PURGE, {"kind": kind, "number": number})

        await self._database.write(work)


def _take(connection: Connection, process_id: str, want: Want, peers: Sequence[str]) -> Taken:
    """One want, under the lock of its window."""
    key = _of(want.window)
    settled = window(connection, want.window)
    own, others = NOTHING, NOTHING
    for holder, *out in connection.execute(LEASES_OF_WINDOW, key):
        if holder == process_id:
            own = Amount(*out)
        else:
            others += Amount(*out).atleast(NOTHING)  # what somebody overspent is in the sums already
    used = Amount(settled.requests, settled.tokens, settled.spend_nano) + others
    more, short = grant(want, used, own, processes=len(peers) + 1)
    if more:
        connection.execute(MAKE_LEASE, _lease(process_id, want.window, more))
    asked = 0
    if short and others and peers:
        asked = connection.execute(RECALL, key | {"peers": list(peers)}).rowcount
    return Taken(more, used + own.atleast(NOTHING) + more, asked=asked > 0)


def _key(key: WindowKey) -> dict[str, str | int]:
    return dict(zip(_KEYS, key, strict=True))


def _of(key: WindowKey) -> dict[str, str | int]:
    return {f"of_{name}": value for name, value in _key(key).items()}


def _amounts(amount: Amount, prefix: str = "") -> dict[str, int]:
    return {f"{prefix}{name}": getattr(amount, name) for name in QUANTITIES}


def _lease(process_id: str, key: WindowKey, granted: Amount) -> dict[str, object]:
    nothing = _amounts(NOTHING, "posted_") | _amounts(NOTHING, "used_")
    return {"process_id": process_id, "recall": False, **_key(key), **_amounts(granted), **nothing}


def _report(process_id: str, report: Report) -> dict[str, object]:
    amounts = _amounts(report.granted, "to_") | _amounts(report.used, "to_used_")
    return {"of_process": process_id, **_of(report.window), **amounts}
