"""What operators ask about alerts."""

from typing import Any

from dominion.domain.alerts import Delivery, Notice
from dominion.domain.stores import AlertStore
from dominion.rules.windows import iso
from dominion.services.notices.delivery import Notices
from dominion.services.operations.table import Asked, Operation

MOST = 1_000


def of_alerts(store: AlertStore, notices: Notices) -> tuple[Operation, ...]:
    """The rows of the table."""

    async def recent(asked: Asked) -> Any:
        found = await store.recent(asked.number("limit", 100, MOST))
        return {"channels": list(notices.channels), "alerts": [_shown(one, deliveries) for one, deliveries in found]}

    async def test(_: Asked) -> Any:
        text = "This is a test of Dominion's alerts; nothing is wrong."
        return {"id": await notices.send("test", text, {}), "channels": list(notices.channels)}

    newest = "Alerts, the newest first, and how far each has come on each channel"
    trial = "Send a test alert to every channel"
    return (
        Operation("alerts", "GET", "/admin/alerts", "admin", newest, recent),
        Operation("test_alert", "POST", "/admin/alerts/test", "admin", trial, test, creates=True),
    )


def _shown(notice: Notice, deliveries: list[Delivery]) -> dict[str, Any]:
    return {
        "id": notice.id,
        "kind": notice.kind,
        "at": iso(notice.at / 1000),
        "text": notice.text,
        "data": notice.data,
        "deliveries": [
            {
                "channel": one.channel,
                "state": _state(one),
                "tries": one.tries,
                "delivered_at": _time(one.delivered_at),
                "next_at": _time(one.next_at),
                "error": one.error or None,
            }
            for one in deliveries
        ],
    }


def _state(delivery: Delivery) -> str:
    if delivery.delivered_at is not None:
        return "delivered"
    return "waiting" if delivery.next_at is not None else "given up"


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at / 1000)
