"""The command `ask`: a question from the command line or a pipe, and the answer as it comes."""

import asyncio
import sys
from contextlib import aclosing
from typing import Any

import click

from dominion.cli.caller.again import again
from dominion.cli.terminal import Command, for_stdout, json_option, note, print_json
from dominion.client.llm import LLM
from dominion.client.provider import LLMResponse


@click.command(
    cls=Command,
    examples=["ask why is the sky blue", "ask --model gpt-4o-mini 'Summarise this:' < report.txt", "ask --json hello"],
)
@click.argument("words", nargs=-1)
@click.option("--model", help="The model; the gateway chooses without it.")
@click.option("--provider", help="openai, anthropic, auto, or one of your own.")
@click.option("--system", help="Instructions for the model.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="How much chance there is in the answer.")
@click.option("--stream/--no-stream", default=True, help="Print the answer as it comes (usual), or when it is whole.")
@click.option("--ask-first", is_flag=True, help="Be asked before another model answers in place of the wanted one.")
@click.option("--accept", metavar="MODEL", help="Let this model answer, which was proposed as provider/model.")
@click.option("--max-cost", metavar="DOLLARS", help="Refuse it if it may cost more.")
@click.option("--quote", is_flag=True, help="Only say what it would cost; nobody is asked.")
@click.option("--compare", multiple=True, metavar="MODEL", help="With --quote: another model, too. Again for more.")
@json_option
def ask(
    words: tuple[str, ...],
    system: str | None,
    compare: tuple[str, ...],
    *,
    stream: bool,
    quote: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask a model.

    The question is WORDS, or what is piped in; with both, the piped text comes after the words.
    """
    question = "\n\n".join(filter(None, (" ".join(words), _piped())))
    if not question:
        raise click.UsageError("There is no question: write it after the command, or pipe it in.")
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    if quote or compare:
        asyncio.run(_quote(messages, compare, as_json=as_json, **options))
        return
    asyncio.run(_ask(messages, stream=stream and not as_json, as_json=as_json, **options))


async def _quote(
    messages: list[dict[str, str]], compare: tuple[str, ...], *, as_json: bool, model: str | None, **options: Any
) -> None:
    """What it would cost; the first model is the one that would be asked."""
    wanted = {name: options[name] for name in ("provider", "max_tokens")}
    async with LLM() as llm:
        models = [model or "auto", *compare] if compare else []
        told = await llm.quote(messages, model=model, models=models, **wanted)
    if as_json:
        print_json(told)
        return
    for each in told["quotes"]:
        click.echo(_told(each))
    left = told["budget"]["remaining_usd"]
    note("You have no monthly limit." if left is None else f"Left of this month's limit: ${left}")


def _told(quote: dict[str, Any]) -> str:
    """One line: "gpt-4o (openai): likely $0.005100000, at most $0.081930000. This will cost ~$0.01 less per run."."""
    who = f"{quote['model']} ({quote['provider']})"
    if quote["likely_usd"] is None:
        return f"{who}: its price is not known"
    line = f"{who}: likely ${quote['likely_usd']}, at most ${quote['most_usd']}"
    return f"{line}. {quote['difference']['message']}." if quote["difference"] else line


def _piped() -> str:
    if sys.stdin.isatty():
        return ""
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"What is piped in is not UTF-8 text (byte {error.start}).") from error


async def _ask(messages: list[dict[str, str]], *, stream: bool, as_json: bool, **options: Any) -> None:
    async with LLM() as llm:
        if llm.provider.name == "stub":
            note("No gateway and no provider is configured, so the stub answers. Run `dominion login`.")

        async def once(accept: str | None) -> LLMResponse:
            if stream:
                return await _print_stream(llm, messages, **options | {"accept": accept})
            return await llm.complete(messages, **options | {"accept": accept})

        response = await again(once, options["accept"], asyncio.sleep)
        if as_json:
            print_json(response.to_dict())
        elif not stream:
            click.echo(for_stdout(response.content))
    if response.finish_reason == "length" and not as_json:
        note("The answer was cut at the limit of its length.")


async def _print_stream(llm: LLM, messages: list[dict[str, str]], **options: Any) -> LLMResponse:
    """Print the pieces; whatever ends the answer, the terminal's next line begins at its left."""
    answer, last = llm.stream(messages, **options), ""
    async with aclosing(answer):
        try:
            async for piece in answer:
                click.echo(for_stdout(piece), nl=False)
                last = piece or last
        finally:
            if last and not last.endswith("\n"):
                click.echo()
    return answer.response or LLMResponse()
