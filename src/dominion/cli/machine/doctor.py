"""The command `doctor`: what is wrong here, for operators and for callers, and what to do."""

import asyncio
from urllib.parse import urlsplit

import click
import msgspec

from dominion.cli.exits import FAILED
from dominion.cli.machine.checks import Finding, operator_findings
from dominion.cli.terminal import Command, json_option, print_json, printable
from dominion.client.config_file import Surroundings, load_config
from dominion.client.gateway import GatewayProvider
from dominion.client.llm import LLM
from dominion.client.selection import GATEWAY, choose
from dominion.client.stored_login import StoredLogin
from dominion.domain.errors import ConfigProblem, DominionError
from dominion.providers.address import is_loopback

MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command(cls=Command, examples=["doctor", "doctor --json"])
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Find out what is wrong here, and what to do.

    Looks at the configuration, data folder, database, journal, keys, providers and port of a gateway on this machine,
    and at what a caller has: pm.config.yaml, the key, and whether the gateway answers to it. Changes nothing.
    """
    findings = asyncio.run(_examine(Surroundings.real()))
    wrong = sum(finding.state == "wrong" for finding in findings)
    if as_json:
        print_json({"wrong": wrong, "findings": msgspec.to_builtins(findings)})
    else:
        for finding in findings:
            _print(finding)
        click.echo(f"\n{wrong} wrong." if wrong else "\nNothing is wrong.")
    ctx.exit(FAILED if wrong else 0)


def _print(finding: Finding) -> None:
    mark, indent = MARKS[finding.state], f"\n{'':7}"
    click.echo(printable(f"{mark}  {finding.subject}: {finding.text}".replace("\n", indent)))
    if finding.action and finding.state != "ok":
        click.echo(printable(f"{'':7}{finding.action}"))


async def _examine(around: Surroundings) -> list[Finding]:
    return [*await operator_findings(around.environ, around.folder), *await _caller_findings(around)]


async def _caller_findings(around: Surroundings) -> list[Finding]:
    try:
        config = load_config(around)
        choice = choose(config, around.environ, StoredLogin.load(around.config_folder))
    except ConfigProblem as error:
        return [Finding.of("pm.config.yaml", error)]
    file = f"{config.file} is understood." if config.file else "There is none; it is not needed."
    findings = [
        Finding("pm.config.yaml", "ok", file),
        Finding("provider chosen", "ok", f"{choice.provider}, because {choice.why}."),
    ]
    try:
        async with LLM(surroundings=around) as llm:
            if choice.provider == GATEWAY:
                findings += await _gateway_findings(llm)
    except DominionError as error:
        findings.append(Finding.of("provider chosen", error))
    return findings


async def _gateway_findings(llm: LLM) -> list[Finding]:
    assert isinstance(llm.provider, GatewayProvider)  # noqa: S101 - it was chosen
    url = llm.provider.url
    parts = urlsplit(url)
    findings = []
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        text = f"Key and prompts travel unencrypted to {parts.hostname}."
        findings.append(Finding("gateway", "wrong", text, "Use an https address."))
    try:
        quota = await llm.quota()
    except DominionError as error:
        return [*findings, Finding.of("gateway", error)]
    return [*findings, Finding("gateway", "ok", f"{url} answers; the key is of {quota.name} ({quota.user_id}).")]
