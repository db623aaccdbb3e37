"""Builds what tells operators: alerts, their outbox, and the channels that the settings name."""

import secrets
from typing import NamedTuple

from dominion import __version__
from dominion.app.world import World
from dominion.config import Settings
from dominion.domain.contracts import Clock
from dominion.domain.errors import ConfigProblem
from dominion.providers.address import is_loopback
from dominion.services.notices.alerts import Alerts
from dominion.services.notices.delivery import Channel, Deliveries, LogLines, Notices
from dominion.services.operations.alerts import of_alerts
from dominion.services.operations.table import Operation
from dominion.stores.sql.alerts import SqlAlerts
from dominion.upstream.ask import HttpAsk
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.webhook import Webhook

WEBHOOK_SECONDS = 10.0


class Alerting(NamedTuple):
    """`notices` is the way in for whoever has something to tell."""

    notices: Notices
    alerts: Alerts
    deliveries: Deliveries
    operations: tuple[Operation, ...]

    def start(self) -> None:
        """Begin to look and to deliver."""
        self.alerts.start()
        self.deliveries.start()

    async def close(self) -> None:
        """Stop; whatever was not delivered waits in the database."""
        await self.alerts.close()
        await self.deliveries.close()


def alerting(world: World, settings: Settings, clock: Clock) -> Alerting:
    """Make them. Raises ConfigProblem."""
    store = SqlAlerts(world.database)
    told = channels(world.http, settings, clock)
    notices = Notices(store, clock, [channel.name for channel in told], lambda: secrets.token_hex(16))
    alerts = Alerts(store, notices, clock, settings.alert_thresholds)
    world.posting.listen(alerts.posted)
    deliveries = Deliveries(store, notices, told, clock)
    return Alerting(notices, alerts, deliveries, of_alerts(store, notices))


def channels(http: HttpUpstream, settings: Settings, clock: Clock) -> list[Channel]:
    """Those that the settings name, and the log. Raises ConfigProblem."""
    return [LogLines(), *_webhook(http, settings, clock), *_mail(settings)]


def _webhook(http: HttpUpstream, settings: Settings, clock: Clock) -> list[Channel]:
    if settings.alert_webhook_url is None:
        return []
    if settings.alert_webhook_secret is None:
        raise ConfigProblem(
            "ALERT_WEBHOOK_URL is set, and ALERT_WEBHOOK_SECRET is not.",
            action="Set it to at least 16 random characters; its receiver can tell your alerts by it.",
        )
    ask = HttpAsk(http, f"dominion/{__version__}", WEBHOOK_SECONDS, plain=True)
    return [Webhook(ask, settings.alert_webhook_url.reveal(), settings.alert_webhook_secret.reveal(), clock)]


def _mail(settings: Settings) -> list[Channel]:
    if not settings.alert_email_to:
        return []
    if not settings.smtp_host or not settings.smtp_from:
        raise ConfigProblem("ALERT_EMAIL_TO is set, and SMTP_HOST or SMTP_FROM is not.")
    if settings.smtp_security == "none" and settings.smtp_user and not is_loopback(settings.smtp_host):
        raise ConfigProblem(
            f"The password for {settings.smtp_host} is not sent unencrypted.",
            action="Set SMTP_SECURITY to starttls or tls.",
        )
    # Only who sends mail waits for its import.
    from dominion.upstream.mail import Mail, MailServer  # noqa: PLC0415

    password = settings.smtp_password.reveal() if settings.smtp_password else ""
    server = MailServer(settings.smtp_host, settings.smtp_port, settings.smtp_security, settings.smtp_user, password)
    return [Mail(server, settings.smtp_from, settings.alert_email_to)]
