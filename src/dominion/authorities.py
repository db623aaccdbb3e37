"""What proves the operator's account to providers whose credential a fixed header cannot hold. Asks nobody yet."""

from collections.abc import Sequence
from pathlib import Path

from dominion import __version__
from dominion.config import Settings
from dominion.config.sign_ins import aws_environment, vertex_key
from dominion.credentials.present import PER_REQUEST, host
from dominion.domain.contracts import Authority, Clock
from dominion.domain.providers import Slot
from dominion.services.sign_in.aws import AwsAuthority
from dominion.services.sign_in.copilot import HEADERS, CopilotAuthority, CopilotSettings
from dominion.services.sign_in.qwen import QwenAuthority, QwenSettings
from dominion.services.sign_in.vertex import VertexAuthority
from dominion.stores.files.tokens import TokenFile
from dominion.upstream.ask import HttpAsk
from dominion.upstream.aws_chain import AwsChain
from dominion.upstream.pool import HttpUpstream


def authorities(settings: Settings, slots: Sequence[Slot], http: HttpUpstream, clock: Clock) -> dict[str, Authority]:
    """By provider id, for slots whose requests are proved one by one. Raises ConfigProblem for wrong settings."""
    ask = HttpAsk(http, f"dominion/{__version__}")
    made: dict[str, Authority] = {}
    for slot in slots:
        match slot.row.id if slot.row.credentials == PER_REQUEST else "":
            case "copilot" as name:
                store = TokenFile(settings.copilot_token_path)
                made[name] = CopilotAuthority(store, ask, clock, copilot_settings(settings))
            case "qwen_oauth" as name:
                store = TokenFile(settings.qwen_credentials_path)
                made[name] = QwenAuthority(store, ask, clock, qwen_settings(settings))
            case "bedrock" as name:
                found = (settings.bedrock_profile, settings.bedrock_region)
                chain = AwsChain(aws_environment(settings), Path.home(), *found)
                made[name] = AwsAuthority(chain.keys, chain.region(), host(slot.target.origin), clock)
            case "vertex" as name:
                made[name] = VertexAuthority(vertex_key(settings), ask, clock)
    return made


def copilot_settings(settings: Settings) -> CopilotSettings:
    """The operator's choices for GitHub Copilot."""
    return CopilotSettings(
        client_id=settings.copilot_client_id,
        headers=settings.copilot_headers or HEADERS,
        web=settings.copilot_sign_in_url.rstrip("/"),
        api=settings.copilot_api_url.rstrip("/"),
    )


def qwen_settings(settings: Settings) -> QwenSettings:
    """The operator's choices for Qwen's sign-in."""
    return QwenSettings(host=settings.qwen_sign_in_url.rstrip("/"))
