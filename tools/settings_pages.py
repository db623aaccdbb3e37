"""Writes the settings into docs/configuration.md and env.example, from the one table that the program reads.

    python -m tools.settings_pages

Never writes a value of this machine: only names, defaults and meanings.
"""

import sys
from itertools import groupby
from pathlib import Path

from dominion.config import SETTINGS, Setting, documentation

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLE = ROOT / "env.example"
BEGIN, END = "<!-- settings: written by make docs -->\n", "<!-- end of settings -->\n"
HEADING = """\
# Copy this file (cp env.example .env) and remove the # before what you change; the rest keeps its default.
# The environment and the options of `dominion serve` stand above .env, .env above dominion.toml.
# More on each: docs/configuration.md
"""
SAMPLES = {
    "OPENAI_API_KEY": "sk-your-key",
    "ANTHROPIC_API_KEY": "sk-ant-your-key",
    "ADMIN_TOKEN": "your-secure-admin-token-here",
}
TITLES = {
    "server": "The gateway itself",
    "agent": "Models",
    "providers": "Providers: your own keys, which callers never see",
    "limits": "Limits",
    "upstream": "Connections to providers",
    "router": "Who is asked, in which order, and how often",
    "fallback": "Other models, when the wanted one does not answer",
    "aliases": "Names for models",
    "alerts": "Who is told of limits that fill up, and how",
}


def page(text: str) -> str:
    """The page of settings with the table of today. Raises ValueError when it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the table: {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{documentation()}\n{END}{after}"


def example() -> str:
    """The env file to copy: every setting with its meaning, commented out."""
    blocks = [HEADING]
    for section, settings in groupby(SETTINGS, key=_section):
        blocks.append(f"# --- {TITLES[section]}\n\n" + "\n".join(_entry(setting) for setting in settings))
    return "\n".join(blocks)


def _section(setting: Setting) -> str:
    if not setting.toml:
        return "server" if setting.env.startswith("DOMINION_") else "providers"
    return setting.toml.partition(".")[0]


def _entry(setting: Setting) -> str:
    templated = setting.default.replace("{data_dir}", "./data").replace("{rate_limit_max}", "60")
    return f"# {setting.help}\n#{setting.env}={SAMPLES.get(setting.env, templated)}\n"


def main() -> int:
    """Write both files; the exit code."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
