"""The settings of alerts: where they are written, and what stops the start."""

from pathlib import Path

import pytest

from dominion.app.wiring.alerting import channels
from dominion.config import load
from dominion.domain.errors import ConfigProblem
from dominion.upstream.bounds import Timeouts
from dominion.upstream.pool import HttpUpstream
from tests.config.test_reading import problems, write
from tests.services.clocks import HandClock

TOML = """
[alerts]
thresholds = [90, 50, 90]
webhook_url = "https://hooks.example.com/services/CANARY"
webhook_secret = "CANARY-of-some-length"
email_to = ["ops@example.com", "boss@example.com"]
smtp_host = "mail.example.com"
smtp_port = 465
smtp_security = "tls"
smtp_user = "gateway"
smtp_password = "CANARY"
smtp_from = "gateway@example.com"
"""
MAIL = {"ALERT_EMAIL_TO": "a@example.com", "SMTP_HOST": "mail.example.com", "SMTP_FROM": "a@example.com"}


async def names(environ: dict[str, str], folder: Path) -> list[str]:
    """The channels of a configuration."""
    upstream = HttpUpstream(Timeouts(connect=1, first_byte=1, idle=1, total=1))
    try:
        return [one.name for one in channels(upstream, load(environ, folder=folder), HandClock())]
    finally:
        await upstream.aclose()


async def test_without_any_setting_alerts_go_to_the_log(tmp_path: Path) -> None:
    assert load({}, folder=tmp_path).alert_thresholds == (50, 80, 100)
    assert await names({}, tmp_path) == ["log"]


@pytest.mark.promise("003-139")
async def test_the_toml_file_says_who_is_told_of_what(tmp_path: Path) -> None:
    folder = write(tmp_path, toml=TOML)
    settings = load({}, folder=folder)
    assert settings.alert_thresholds == (50, 90)
    assert settings.alert_email_to == ("ops@example.com", "boss@example.com")
    assert await names({}, folder) == ["log", "webhook", "email"]
    assert "CANARY" not in repr(settings)


@pytest.mark.parametrize("lifted", ["0", "none"])
def test_users_can_be_left_alone(lifted: str, tmp_path: Path) -> None:
    assert load({"ALERT_THRESHOLDS": lifted}, folder=tmp_path).alert_thresholds == ()


@pytest.mark.parametrize("wrong", ["50,x", "50,0", "1001", "-1", "50;80", "0.8"])
def test_what_is_no_list_of_percentages_is_refused(wrong: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"ALERT_THRESHOLDS": wrong})
    assert "ALERT_THRESHOLDS" in problem


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"ALERT_WEBHOOK_URL": "https://example.com/"}, "ALERT_WEBHOOK_SECRET is not"),
        ({"ALERT_EMAIL_TO": "a@example.com"}, "SMTP_HOST or SMTP_FROM is not"),
        (MAIL | {"SMTP_SECURITY": "none", "SMTP_USER": "a"}, "not sent unencrypted"),
    ],
)
async def test_half_a_configuration_stops_the_start(environ: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match=sentence):
        await names(environ, tmp_path)


@pytest.mark.parametrize("url", ["ftp://example.com/CANARY", "CANARY"])
def test_a_webhook_is_an_address_of_http(url: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"ALERT_WEBHOOK_URL": url})
    assert "does not begin with https:// or http://" in problem
    assert "CANARY" not in problem
