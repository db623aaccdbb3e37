"""reconcile.py: every known export is read to the token and the nano-dollar, and drift is named where it is."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.usage import NANO_PER_USD, usd
from dominion.rules.prices.reconcile import EVERY_MODEL, Side, Told, beyond, compare, plain_name, read_export

OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,\
service_tier,input_tokens,output_tokens,input_cached_tokens
1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,p,2,,,gpt-4o-2024-08-06,,,1500,300,0
1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,q,1,,,gpt-4o,,,500,100,128
1795219200,1795305600,2026-11-21T00:00:00+00:00,2026-11-22T00:00:00+00:00,,,,,,,,,,
"""
OPENAI_COSTS = """\
start_time\tend_time\tstart_time_iso\tend_time_iso\tamount_value\tamount_currency\tline_item\tproject_id
1795132800\t1795219200\t2026-11-20T00:00:00+00:00\t2026-11-21T00:00:00+00:00\t0.0050000000000000\tusd\t\t
1795132800\t1795219200\t2026-11-20T00:00:00+00:00\t2026-11-21T00:00:00+00:00\t0.0040000000000000\tusd\t\t
1795219200\t1795305600\t2026-11-21T00:00:00+00:00\t2026-11-22T00:00:00+00:00\t\t\t\t
"""
OPENAI_COSTS_JSON = """\
{"object": "page", "has_more": false, "data": [{"object": "bucket", "start_time": 1795132800, "end_time": 1795219200,
"results": [{"object": "organization.costs.result", "amount": {"value": 0.1, "currency": "usd"},
             "line_item": "gpt-4o-2024-08-06, input"},
            {"object": "organization.costs.result", "amount": {"value": 0.2, "currency": "usd"},
             "line_item": "gpt-4o-2024-08-06, output"}]},
{"object": "bucket", "start_time": 1795219200, "end_time": 1795305600, "results": []}]}
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,\
web_search_count,inference_geo,speed
2026-11-20,claude-haiku-4-5-20251001,key,"Default, all",standard,\u2264 200k,46981,15969,7,3,16932,0,global,
2026-11-20,claude-haiku-4-5-20251001,other,Default,standard,\u2264 200k,19,1,0,0,68,0,global,
"""
ANTHROPIC_COSTS = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type
2026-11-20,Claude Haiku 4.5,Default,key,message,\u2264 200k,input_no_cache,0.05,token
2026-11-20,Claude Haiku 4.5,Default,key,message,\u2264 200k,output,0.0846605,token
"""
PLAIN = "day,model,input_tokens,output_tokens,cost_usd\n2026-11-20,mine-1,10,20,0.000000001\n2026-11-20,mine-1,1,2,\n"
DAY = "2026-11-20"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        (OPENAI_USAGE, {(DAY, "gpt-4o"): Told(2000, 400)}),
        (OPENAI_COSTS, {(DAY, EVERY_MODEL): Told(nano=9_000_000)}),
        (OPENAI_COSTS_JSON, {(DAY, "gpt-4o"): Told(nano=300_000_000)}),
        (ANTHROPIC_USAGE, {(DAY, "claude-haiku-4-5"): Told(62_980, 17_000)}),
        (ANTHROPIC_COSTS, {(DAY, "claude-haiku-4-5"): Told(nano=134_660_500)}),
        (PLAIN, {(DAY, "mine-1"): Told(11, 22, 1)}),
        ("\ufeff" + PLAIN, {(DAY, "mine-1"): Told(11, 22, 1)}),
    ],
    ids=["OpenAI usage", "OpenAI costs", "OpenAI costs API", "Anthropic usage", "Anthropic costs", "plain", "with BOM"],
)
def test_an_export_is_read_exactly(text: str, side: Side) -> None:
    assert read_export(text) == side


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no row"),
        ("day,model\n", "no row"),
        ("a,b\n1,2\n", "no usage export that is known here; its columns are a, b"),
        ("day,model,cost_usd\n2026-11-20,m,a lot\n", "cannot be read"),
        ("day,model,cost_usd\nyesterday,m,1\n", "yesterday"),
        ("start_time,amount_value,amount_currency\n1795132800,1,eur\n", "eur"),
        ('{"data": [{"results": [{}]}]}', "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_a_file_that_is_no_export_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_export(text)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("Claude Sonnet 4.5", "claude-sonnet-4-5"),
        ("gpt-4.1", "gpt-4-1"),
        ("openai/gpt-oss-120b", "openai-gpt-oss-120b"),
    ],
)
def test_names_of_models_are_compared_without_dates_and_spelling(name: str, plain: str) -> None:
    assert plain_name(name) == plain
    assert plain_name(plain) == plain


def test_drift_is_theirs_less_ours_by_day_and_model() -> None:
    ours = {(DAY, "gpt-4o"): Told(100, 10, 1_000), (DAY, "o1"): Told(5, 5, 50)}
    theirs = {(DAY, "gpt-4o"): Told(110, 10, 900), ("2026-11-21", "gpt-4o"): Told(1, 1, 7)}
    found = [
        (drift.day, drift.model, drift.input_tokens, drift.output_tokens, drift.nano) for drift in compare(ours, theirs)
    ]
    assert found == [(DAY, "gpt-4o", 10, 0, -100), (DAY, "o1", -5, -5, -50), ("2026-11-21", "gpt-4o", 1, 1, 7)]


def test_a_file_that_sums_up_all_models_is_compared_with_the_sum_of_all_models() -> None:
    ours = {(DAY, "gpt-4o"): Told(100, 10, 6_000_000), (DAY, "o1"): Told(5, 5, 3_000_000)}
    (drift,) = compare(ours, read_export(OPENAI_COSTS))
    assert (drift.model, drift.nano, drift.input_tokens) == (EVERY_MODEL, 0, None)


def test_what_a_file_does_not_tell_is_not_compared() -> None:
    (drift,) = compare({(DAY, "gpt-4o"): Told(2000, 399, 5)}, read_export(OPENAI_USAGE))
    assert (drift.input_tokens, drift.output_tokens, drift.nano, drift.their_nano) == (0, 1, None, None)
    assert beyond([drift], percent=Decimal(1), least_nano=10**9) == [drift]


def test_a_model_that_their_file_leaves_out_was_not_billed() -> None:
    ours = {(DAY, "gpt-4o"): Told(2000, 400, 5), (DAY, "o1"): Told(7, 7, 70)}
    drift = compare(ours, read_export(OPENAI_USAGE))[1]
    assert (drift.model, drift.input_tokens, drift.nano) == ("o1", -7, None)


@pytest.mark.parametrize(
    ("ours", "theirs", "far"),
    [(990, 1_000, False), (989, 1_000, True), (1_011, 1_000, True), (100, 0, True), (5, 0, False), (0, 0, False)],
)
def test_drift_counts_above_both_thresholds(ours: int, theirs: int, far: bool) -> None:  # noqa: FBT001
    drifts = compare({(DAY, "m"): Told(0, 0, ours)}, {(DAY, "m"): Told(0, 0, theirs)})
    assert bool(beyond(drifts, percent=Decimal(1), least_nano=5)) is far


amounts = st.integers(0, 10**15)


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=20))
def test_the_sum_of_all_drifts_is_the_difference_of_both_bills(pairs: list[tuple[int, int]]) -> None:
    lines = ["day,model,input_tokens,output_tokens,cost_usd"]
    ours: Side = {}
    for number, (mine, other) in enumerate(pairs):
        ours[DAY, f"m{number % 3}x{number}"] = Told(1, 1, mine)
        lines.append(f"{DAY},M{number % 3}x{number},1,1,{usd(other)}")
    drifts = compare(ours, read_export("\n".join(lines)))
    exact = sum((Fraction(other - mine, NANO_PER_USD) for mine, other in pairs), Fraction(0))
    assert Fraction(sum(drift.nano or 0 for drift in drifts), NANO_PER_USD) == exact
