"""Figure 10 a: a flood of refused requests must cost the gateway less than the same flood accepted."""

import random
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from statistics import median

from bench.estimate import ratios
from bench.rounds import Job, Load, run_rounds
from bench.row import Row, VoidError, waiting
from bench.setting import Setting, load_of
from bench.target import Target, ask

_CONNECTIONS = 32
_UNKNOWN_KEYS = 500
_SEED = 10


def measure(setting: Setting) -> list[Row]:
    """Keys with a wrong secret, keys nobody has, and a user over the limit, beside accepted requests, all by wrk."""
    if not setting.gateway or not setting.caller:
        return []
    target = setting.gateway.target(setting.caller)
    spent = setting.gateway.add_caller("over the limit", daily_requests=1)
    with setting.watched("over the limit") as answered:
        answered(int(ask(target.port, spent.key).status == HTTPStatus.OK))
    floods = {
        "wrong secret": ([_other_last(target.key)], HTTPStatus.UNAUTHORIZED),
        "unknown keys": (_unknown_keys(target.key), HTTPStatus.UNAUTHORIZED),
        "over the limit": ([spent.key], HTTPStatus.TOO_MANY_REQUESTS),
    }
    for name, (keys, status) in floods.items():
        if (said := ask(target.port, keys[0]).status) != status:
            raise VoidError(f"{name}: answered with {said}")

    accepted = partial(setting.wrk, target, connections=_CONNECTIONS, seconds=setting.plan.block_s)
    jobs = [Job(name, target.pid, accepted) for name in ("accepted", "accepted again")]
    jobs += [Job(name, target.pid, partial(_flood, setting, target, keys)) for name, (keys, _) in floods.items()]
    samples = run_rounds(jobs, setting.plan.few_rounds)
    costs = {name: [sample.cpu_us_per_unit for sample in found] for name, found in samples.items()}
    return [
        Row(
            "10",
            f"CPU of a refusal / of an accepted request: {name}",
            ratio=ratios(costs[name], costs["accepted"]),
            control=ratios(costs["accepted again"], costs["accepted"]),
            facts=f"{median(costs[name]):.1f} us, accepted {median(costs['accepted']):.1f} us; "
            f"upstream asked 0 times; {waiting(samples)}",
        )
        for name in floods
    ]


def _flood(setting: Setting, target: Target, keys: Sequence[str]) -> Load:
    with setting.watched("flood") as answered:
        result = setting.run_wrk(target, keys, connections=_CONNECTIONS, seconds=setting.plan.block_s)
        answered(0)
    if result.broken or result.statuses != result.requests:
        raise VoidError(
            f"{result.requests - result.statuses} answered, {result.broken} connections broken in the flood"
        )
    return load_of(result)


def _other_last(key: str) -> str:
    return key[:-1] + ("A" if key[-1] != "A" else "B")


def _unknown_keys(key: str) -> list[str]:
    """Keys of the same shape, `dom_<hex id>_<secret>`, with ids that no user has."""
    rng = random.Random(_SEED)  # noqa: S311 -- made-up keys
    prefix, key_id, secret = key.split("_", 2)
    return [f"{prefix}_{rng.randbytes(len(key_id)).hex()[: len(key_id)]}_{secret}" for _ in range(_UNKNOWN_KEYS)]
