"""How much of a limit a process gets, and what becomes of one that died with its disk. Pure."""

from collections.abc import Mapping
from itertools import groupby

import msgspec

from dominion.domain.allowances import NOTHING, Amount, Peer, Want, WindowKey
from dominion.domain.records import Certainty, Outcome, UsageRow
from dominion.rules.windows import SECONDS_A_DAY, first_day, month_of

SHARE = 4
"""A slice is this part of what is left for each process: slices shrink with what is left, down to a single hold."""


def grant(want: Want, used_by_others: Amount, own: Amount, *, processes: int) -> tuple[Amount, bool]:
    """What to grant, and whether it is less than the need.

    `used_by_others` is what is settled and what is out with other processes, `own` what is out with this one (below 0:
    it has overspent, and a grant fills that up first). `processes` live.
    """
    more: list[int] = []
    short = False
    for name in Amount.__struct_fields__:
        need = getattr(want.need, name)
        left = getattr(want.limit, name) - getattr(used_by_others, name) - getattr(own, name)
        if need <= 0:
            more.append(0)
        elif need <= left:
            more.append(max(need, left // (SHARE * processes)))
        else:
            short = True
            more.append(max(0, left) if want.partly else 0)
    return Amount(*more), short


def lost_rows(peer: Peer, used: Mapping[WindowKey, Amount], at: int) -> list[UsageRow]:
    """One row for each user of a process that died with its disk: what the process said to have used and not posted.

    Its day is that of the user's newest lease, `at` (epoch milliseconds) where there is none.
    """
    rows: list[UsageRow] = []
    of_users = sorted(item for item in used.items() if item[0][0].startswith("user:"))
    for scope, found in groupby(of_users, key=lambda item: item[0][0]):
        windows = {key[1:]: amount for key, amount in found}
        total = NOTHING
        for (kind, _), amount in windows.items():
            if kind in {"d", "m"}:
                total += amount
        if not total:
            continue
        days = [number for kind, number in windows if kind == "d"]
        months = [number for kind, number in windows if kind == "m"]
        day = max(days, default=at // (SECONDS_A_DAY * 1000))
        if months and month_of(day) != max(months):
            day = first_day(max(months))
        rows.append(_row(f"lost:{peer.process}:{peer.life}:{scope}", day, scope.removeprefix("user:"), total))
    return rows


def _row(row_id: str, day: int, user_id: str, total: Amount) -> UsageRow:
    return UsageRow(
        id=row_id,
        at=day * SECONDS_A_DAY * 1000,
        user_id=user_id,
        key_id="",
        provider="",
        model="",
        door="",
        stream=False,
        outcome=Outcome.LOST,
        certainty=Certainty.UNKNOWN,
        input_tokens=total.tokens,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nano=total.spend_nano,
        latency_ms=0,
        first_ms=0,
        finish="",
        error="disk_lost",
    )


def found_row(lost: UsageRow) -> UsageRow:
    """Takes a row of `lost_rows` back, because the process's own rows have arrived."""
    return msgspec.structs.replace(
        lost,
        id=f"found{lost.id.removeprefix('lost')}",
        outcome=Outcome.FOUND,
        input_tokens=-lost.input_tokens,
        cost_nano=-lost.cost_nano,
        error="disk_found",
    )
