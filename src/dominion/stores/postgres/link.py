"""How the program speaks to PostgreSQL: what every connection is set to, and how one that hangs is cut off.

Holds no statement of a table. The driver, psycopg, is loaded by SQLAlchemy when an engine is made, and not before.
"""

import contextlib
import os
import select
import socket
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError

from dominion.domain.errors import ConfigProblem

DRIVERS = {"postgres", "postgresql", "postgresql+psycopg"}
CONNECT_SECONDS = 2
READ_SECONDS = 2.0
"""For reading work, from the moment it is handed in: a caller may be waiting for it."""
REPORT_SECONDS = 10.0
"""For reading work that goes over many rows."""
WRITE_SECONDS = 10.0
"""For everything else."""
CONNECTION = {
    "connect_timeout": str(CONNECT_SECONDS),
    "application_name": "dominion",
    # A peer that has vanished is noticed after 15 to 25 seconds where no deadline notices it before.
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Of libpq; what the operator's address says wins."""
SESSION = {
    "synchronous_commit": "on",  # money: a commit that is acknowledged is on disk, whatever the server is set to
    "statement_timeout": f"{WRITE_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": "60s",
}
LOCK_NOT_AVAILABLE = "55P03"


def address(url: URL) -> URL:
    """The operator's address with everything that each connection is set to."""
    given = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    options = " ".join([given.pop("options", ""), *(f"-c {name}={value}" for name, value in SESSION.items())])
    return url.set(drivername="postgresql+psycopg", query={**CONNECTION, **given, "options": options.strip()})


def shown(url: URL) -> str:
    """The address as messages may show it. A password may stand in its query, too, which keeps only where it leads."""
    where = {name: value for name, value in url.query.items() if name in {"host", "port"}}
    return url.set(query=where).render_as_string(hide_password=True)


def engine(url: URL, connections: int, shown: str) -> Engine:
    """An engine with at most this many connections. Raises ConfigProblem when the driver is not installed.

    Errors never show parameters: some are the hashes of keys.
    """
    try:
        made = create_engine(
            address(url),
            hide_parameters=True,
            pool_size=connections,
            max_overflow=0,
            paramstyle="format",
            use_native_hstore=False,
        )
    except ImportError as error:
        raise ConfigProblem(
            f"The driver for {shown} is not installed.",
            action="Install the extra `cluster`: pip install 'dominion-gateway[cluster]'.",
        ) from error
    event.listen(made, "connect", _on_connect)
    event.listen(made, "checkout", _on_checkout)
    return made


def lock_schema(connection: Connection, number: int) -> None:
    """Wait for an advisory lock that lasts as long as the transaction, whose statements then may take their time but
    wait no longer than a second for any other lock (LOCK_NOT_AVAILABLE)."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
    connection.execute(text("SET LOCAL lock_timeout = '1s'"))


def cut(connection: Any) -> None:
    """End a driver's connection from another thread: whoever waits for the server in it gets an error at once."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as there:
        there.shutdown(socket.SHUT_RDWR)


def driver() -> ModuleType:
    """What needs the driver itself (`postgres_driver`): loaded where there is a server only, as it is an extra."""
    from dominion.stores.postgres import driver as postgres_driver  # noqa: PLC0415

    return postgres_driver


def _on_connect(connection: Any, _record: object) -> None:
    driver().keep_no_nul(connection)


def _on_checkout(connection: Any, _record: object, _fairy: object) -> None:
    """A server that went away closed the connections that nobody used: such a one is readable. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server has closed the connection")
