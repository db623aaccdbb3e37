"""Brings an older database up to the program's schema; needs Alembic, so import it only when there is work."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from dominion.domain.errors import ConfigProblem


def upgrade(
    connection: Connection, revision: str | None, folder: Path = Path(__file__).parent, to: str = "head"
) -> None:
    """Apply the revisions of `folder` after `revision` (None: all) up to `to`, in the connection's transaction.

    Raises ConfigProblem when the database was made by a newer program.
    """
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigProblem(
            f"The database has the schema {revision}, and this program knows schemas up to "
            f"{scripts.get_current_head()}: a newer version of the program made it.",
            action="Start that newer version, or put a backup of the database in its place.",
        )
    command.upgrade(config, to)
