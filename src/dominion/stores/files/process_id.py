"""The name of a process among those that share a database: it belongs to its journal, and whoever takes that over goes
by it, too. So a process that died comes back as itself.
"""

import secrets
from pathlib import Path

NAME = "process"


def process_id(folder: Path) -> str:
    """The name that a journal's folder holds, a new one on first use. Call only with the journal's lock."""
    path = folder / NAME
    if path.exists() and (known := path.read_text("ascii").strip()):
        return known
    new = f"proc_{secrets.token_hex(8)}"
    path.write_text(new, "ascii")
    return new
