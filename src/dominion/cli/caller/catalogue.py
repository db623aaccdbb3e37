"""The command `models`: what can be asked."""

import asyncio

import click
import msgspec

from dominion.cli.tables import print_table
from dominion.cli.terminal import Command, json_option, print_json
from dominion.client.llm import LLM
from dominion.client.provider import LLMModel


@click.command(cls=Command, examples=["models", "models --json"])
@json_option
def models(*, as_json: bool) -> None:
    """List the models that you can ask; prices are in US dollars per million tokens."""
    found = asyncio.run(_models())
    if as_json:
        print_json({"models": msgspec.to_builtins(found)})
        return
    print_table(
        ("MODEL", "PROVIDER", "CONTEXT", "MAX OUTPUT", "INPUT $/M", "OUTPUT $/M", "NOTE"),
        (
            (
                model.id,
                model.provider,
                model.context_window,
                model.max_output,
                model.input_usd_per_million,
                model.output_usd_per_million,
                model.deprecated or ("" if model.available else "not available"),
            )
            for model in found
        ),
    )


async def _models() -> list[LLMModel]:
    async with LLM() as llm:
        return await llm.models()
