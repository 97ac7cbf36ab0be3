"""Why a session waits: what is read from captured answers, and what follows from what."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from backendai_sdk._wire.explain import explain, looks_at
from backendai_sdk._wire.gql import read_page
from backendai_sdk._wire.situation import (
    Limits,
    Situation,
    agents_body,
    key_body,
    limits_body,
    policy_body,
    read_agents,
    read_key,
    read_limits,
    read_policy,
    read_scheduling,
    requested,
    row_fields,
    session_ids_in,
)
from backendai_sdk._wire.structure import structure
from backendai_sdk.enums import Phase, ReasonKind, Verdict
from backendai_sdk.errors import GraphQLError, WireError
from backendai_sdk.models.explanation import Explanation, PendingReason
from backendai_sdk.models.server import ServerInfo
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.slots import ResourceSlots

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
WIRE = Path(__file__).parents[1] / "recorded" / "wire" / "23.9.10"
FIRST = "566656b3-4b82-47ce-a01b-ac961733d726"


def captured(name):
    return json.loads((WIRE / name).read_text().splitlines()[-1])


def captured_row(name):
    return structure(SessionInfo, captured(name)["data"]["compute_session"])


def row(**given):
    told = {
        "id": "s-1",
        "name": "mine",
        "type": "INTERACTIVE",
        "status": "PENDING",
        "scaling_group": "default",
    }
    return structure(SessionInfo, told | given)


def scheduler(*failed, **more):
    return json.dumps(
        {"scheduler": {"failed_predicates": [{"name": n, "msg": m} for n, m in failed], **more}}
    )


def slots(text):
    return ResourceSlots.parse(text)


def of(it, **facts):
    return explain(Situation(row=it, now=NOW, **facts))


# --- captured ---------------------------------------------------------------------------------------------------


def test_a_quota_as_captured():
    it = captured_row("quota-03-second-seen.txt")
    assert looks_at(it) == {"own"}
    found = of(it)
    assert [(r.kind, r.message, r.source) for r in found.reasons] == [
        ("concurrency", "You cannot run more than 1 concurrent sessions", "server"),
        ("quota", "Your keypair resource quota is exceeded. (cpu=1 mem=1g)", "server"),
        ("quota", "Your main-keypair resource quota is exceeded. (cpu=1 mem=1g)", "server"),
    ]
    assert found.reasons[1].limit == slots("cpu=1 mem=1g")
    assert found.passed == (
        "reserved_time",
        "dependencies",
        "user_group_resource_limit",
        "domain_resource_limit",
    )
    assert found.retries == 2
    assert found.last_try == datetime(2026, 11, 22, 7, 14, 20, 619193, tzinfo=UTC)
    # That query did not ask what the session needs: then it is not known whether it fits into the quota alone.
    assert found.verdict == Verdict.UNKNOWN
    for needs, verdict in (("cpu=1 mem=512m", Verdict.BUSY), ("cpu=2 mem=512m", Verdict.NEVER)):
        assert of(attrs.evolve(it, occupying_slots=slots(needs))).verdict == verdict


def test_no_room_as_captured():
    page = read_page(captured("create-07-gql-pending.txt"))
    data = captured("create-06-info-pending.txt")["statusData"]
    it = attrs.evolve(page.items[0], extra={"status_data": json.dumps(data)})
    assert looks_at(it) == {"own", "limits", "agents"}
    found = of(it)
    assert (found.state, found.verdict, len(found.passed)) == (Phase.QUEUED, Verdict.UNKNOWN, 7)
    (reason,) = found.reasons
    assert (reason.kind, str(reason.needed)) == (ReasonKind.RESOURCES, "mem=512m cpu=1")
    assert reason.message.startswith("Could not find a contiguous resource region")
    assert str(found) == (
        f"enq-6658c23 is PENDING (no-available-instances):\n- resources: {reason.message}\n"
        "Whether it will start cannot be told from what the server says."
    )


def test_dependencies_as_captured():
    it = captured_row("cluster-12-gql-end-second.txt")
    assert looks_at(it) == {"dependencies"}
    assert session_ids_in(read_scheduling(it).failed[0][1]) == (FIRST,)
    assert of(it).verdict == Verdict.UNKNOWN
    first = row(id=FIRST, name="dep-23016e", type="BATCH", status="PENDING", result="UNDEFINED")
    found = of(it, dependencies=(first,))
    assert found.verdict == Verdict.BUSY
    assert [(ref.id, ref.status) for ref in found.reasons[0].sessions] == [(FIRST, "PENDING")]
    for status in ("CANCELLED", "TERMINATED"):
        lost = attrs.evolve(first, status=type(first.status)(status))
        assert of(it, dependencies=(lost,)).verdict == Verdict.NEVER


def test_limits_as_captured():
    limits = read_limits(captured("root-09-check-presets.txt"), scaling_group="default")
    assert limits.group_remaining == {"mem": 24202772480, "cpu": 2}
    assert of(row(occupying_slots={"cpu": "2"}), limits=limits).reasons == ()
    (reason,) = of(row(occupying_slots={"cpu": "3", "mem": "1"}), limits=limits).reasons
    assert (reason.kind, reason.verdict) == (ReasonKind.RESOURCES, Verdict.UNKNOWN)
    assert "cpu=2" in reason.message


# --- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "",
        "{",
        "[]",
        "7",
        7,
        [],
        '{"scheduler": null}',
        '{"scheduler": []}',
        '{"scheduler": {"failed_predicates": 1}}',
    ],
)
def test_odd_scheduling_data_says_nothing(data):
    told = read_scheduling(row(status_data=data))
    assert (told.failed, told.passed, told.message, told.error, told.retries, told.last_try) == (
        (),
        (),
        None,
        None,
        None,
        None,
    )


def test_scheduling_data_of_odd_parts():
    told = read_scheduling(
        row(
            status_data={
                "scheduler": {"failed_predicates": [{"name": "x"}, 1, {}], "retries": "2", "last_try": "soon"}
            }
        )
    )
    assert told.failed == (("x", ""), ("", ""))
    assert (told.retries, told.last_try) == (None, None)
    assert (
        of(row(status_data={"scheduler": {"failed_predicates": [{"name": "x"}]}})).reasons[0].message == "x"
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"src": "agent", "name": "E", "repr": "E('x')"}, "E('x')"),
        ({"name": "E"}, "E"),
        ({"name": "MultiAgentError", "collection": [{"name": "A", "repr": "A()"}, {"name": "B"}]}, "A(); B"),
        ({"collection": []}, None),
        ("text", None),
    ],
)
def test_what_a_start_failed_with(error, text):
    found = of(row(status="CANCELLED", status_info="failed-to-start", status_data={"error": error}))
    assert [r.message for r in found.reasons] == ([] if text is None else [text])
    assert (found.state, found.verdict) == (Phase.ENDED, None)
    assert str(found).startswith("mine is CANCELLED (failed-to-start): it has ended.")


def test_queries_carry_values_as_variables():
    assert agents_body('a"b')["variables"] == {"group": 'a"b'}
    assert key_body()["variables"] == policy_body()["variables"] == {}
    assert limits_body(row(group_name="g", scaling_group="s")) == {"group": "g", "scaling_group": "s"}
    assert limits_body(row())["group"] == "default"


def test_what_is_asked_by_release():
    server = ServerInfo(
        api_version="v7.20230615", server_version="v7.20230615", manager="", release=(23, 9, 10), endpoint=""
    )
    assert "requested_slots" not in row_fields(server)
    assert "requested_slots" in row_fields(attrs.evolve(server, release=(24, 3, 0)))
    assert requested(row(requested_slots='{"cpu": "3"}', occupying_slots="{}")) == {"cpu": 3}
    assert requested(row(occupying_slots='{"cpu": "2"}')) == {"cpu": 2}
    assert requested(row(occupying_slots="{}")) is None
    assert requested(row()) is None
    assert requested(row(requested_slots="what?")) is None


def test_other_answers():
    assert read_policy({"data": {"keypair_resource_policy": {"max_concurrent_sessions": 3}}}) == 3
    assert read_policy({"data": {"keypair_resource_policy": None}}) is None
    assert read_key({"data": {"keypair": {"access_key": "AK"}}}) == "AK"
    assert read_key({"data": {"keypair": None}}) is None
    assert read_agents(
        {
            "data": {
                "agent_list": {
                    "items": [
                        {"available_slots": '{"cpu": "4"}'},
                        {"available_slots": None},
                        {"available_slots": '{"cpu": "9"}', "schedulable": False},
                    ]
                }
            }
        }
    ) == ({"cpu": 4},)
    assert read_agents({"data": {"agent_list": None}}) is None
    with pytest.raises(GraphQLError):
        read_policy({"data": None, "errors": [{"message": "no"}]})
    for odd in (None, [], 7):
        with pytest.raises(WireError):
            read_limits(odd, scaling_group="default")
    assert read_limits({}, scaling_group="default") == Limits()
    some = read_limits(
        {
            "keypair_limits": None,
            "scaling_groups": {"other": {"remaining": {"cpu": "1"}}},
            "scaling_group_remaining": {"cpu": "9"},
        },
        scaling_group="default",
    )
    assert some == Limits(allowed=(ResourceSlots(),), group_remaining=slots("cpu=9"))


# --- what follows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("reserved_time", "start_time"),
        ("dependencies", "dependencies"),
        ("concurrency", "concurrency"),
        ("keypair_resource_limit", "quota"),
        ("user_group_resource_limit", "quota"),
        ("domain_resource_limit", "quota"),
        ("pending_session_count_limit", "quota"),
        ("pending_session_resource_limit", "quota"),
        ("a_check_of_tomorrow", "other"),
    ],
)
def test_checks_of_the_scheduler(name, kind):
    found = of(row(status_info="predicate-checks-failed", status_data=scheduler((name, "why"))))
    assert [(r.kind, r.message, r.source, r.name) for r in found.reasons] == [(kind, "why", "server", name)]


def test_one_never_outweighs_all_and_one_unknown_most():
    busy, never, unknown = ("concurrency", "c"), ("keypair_resource_limit", "(cpu=1)"), ("new", "n")
    for failed, verdict in (
        ([busy], "busy"),
        ([busy, unknown], "unknown"),
        ([busy, unknown, never], "never"),
        ([], "unknown"),
    ):
        assert of(row(occupying_slots={"cpu": "2"}, status_data=scheduler(*failed))).verdict == verdict


@pytest.mark.parametrize("message", ["exceeded", "exceeded. ()", "exceeded. (cpu=many)", "exceeded. (a, b)"])
def test_a_quota_without_a_limit_that_can_be_read(message):
    it = row(occupying_slots={"cpu": "2"}, status_data=scheduler(("keypair_resource_limit", message)))
    assert of(it).reasons[0].limit is None
    assert of(it).verdict == Verdict.UNKNOWN


def test_the_start_time():
    later = NOW + timedelta(minutes=5)
    assert of(row(type="BATCH", starts_at=later.isoformat())).reasons[0].until == later
    assert of(row(type="BATCH", starts_at=(NOW - timedelta(minutes=5)).isoformat())).reasons == ()
    told = row(starts_at=later.isoformat(), status_data=scheduler(("reserved_time", "Before start time")))
    assert of(told).reasons[0].until == later


def test_the_scheduler_failed():
    it = row(
        status_info="scheduler-error", status_data={"error": {"src": "other", "name": "E", "repr": "E()"}}
    )
    assert [(r.kind, r.message, r.verdict) for r in of(it).reasons] == [("other", "E()", "unknown")]


def held(cpu, agent, status="RUNNING", group="default"):
    return row(
        id=agent, status=status, agent_ids=[agent], occupying_slots={"cpu": str(cpu)}, scaling_group=group
    )


def test_what_ones_sessions_hold_shows_how_large_an_agent_is():
    it = row(status_info="no-available-instances", occupying_slots={"cpu": "3"})
    for own, verdict in (
        ((), "unknown"),
        ((held(2, "a"), held(2, "b")), "unknown"),
        ((held(2, "a"), held(1, "a")), "busy"),
        ((held(4, "a", group="other"),), "unknown"),
        ((attrs.evolve(held(4, "a"), agent_ids=("a", "b")),), "unknown"),
        ((attrs.evolve(held(4, "a"), agent_ids=None),), "unknown"),
    ):
        assert of(it, own=own).verdict == verdict
    assert of(it, own=(held(9, "a"),), agents=(slots("cpu=2"),)).verdict == Verdict.NEVER


def test_parts_of_a_cluster_session_may_go_to_different_agents():
    it = row(status_info="no-available-instances", occupying_slots={"cpu": "6"}, cluster_size=3)
    agents = (slots("cpu=2"), slots("cpu=1"))
    assert of(attrs.evolve(it, cluster_mode="multi-node"), agents=agents).verdict == Verdict.BUSY
    assert of(attrs.evolve(it, cluster_mode="single-node"), agents=agents).verdict == Verdict.NEVER


def test_limits_that_are_hidden_or_absent_allow_everything():
    limits = Limits(
        allowed=(ResourceSlots.from_wire({"cpu": "Infinity"}), ResourceSlots.from_wire({"cpu": "NaN"})),
        remaining=ResourceSlots.from_wire({"cpu": "NaN", "mem": "5242880"}),
        group_remaining=ResourceSlots.from_wire({}),
    )
    assert of(row(occupying_slots={"cpu": "3"}), limits=limits).reasons == ()
    (reason,) = of(row(occupying_slots={"cpu": "3", "mem": "6291456"}), limits=limits).reasons
    assert (reason.kind, reason.verdict, reason.message) == (
        "quota",
        "busy",
        "it asks for cpu=3 mem=6m, and of what is allowed mem=5m is left",
    )


def test_only_sessions_that_run_count():
    own = tuple(
        row(id=s, status=s) for s in ("PENDING", "TERMINATING", "CANCELLED", "RUNNING", "ERROR", "PULLING")
    )
    (reason,) = of(row(), own=own, max_sessions=3).reasons
    assert [ref.id for ref in reason.sessions] == ["RUNNING", "ERROR", "PULLING"]
    assert of(row(), own=own, max_sessions=4).reasons == ()
    assert of(row(), own=own, max_sessions=0).reasons == ()


@pytest.mark.parametrize(
    ("status", "state", "verdict", "words"),
    [
        ("RUNNING", "running", None, "it runs"),
        ("TERMINATED", "ended", None, "it has ended"),
        ("ERROR", "ended", None, "it is broken"),
        ("SCHEDULED", "scheduled", "busy", "it is being started"),
        ("CREATING", "preparing", "busy", "it is being started"),
        ("STATUS_OF_TOMORROW", "preparing", "busy", "it is being started"),
        ("PENDING", "queued", "unknown", "the server does not say why"),
    ],
)
def test_every_state_can_be_said(status, state, verdict, words):
    it = row(status=status)
    found = of(it)
    assert (found.state, found.verdict, found.reasons) == (state, verdict, ())
    assert found.is_waiting == (verdict is not None)
    assert words in str(found)
    assert words in found._repr_html_()
    assert bool(looks_at(it)) == (status == "PENDING")


def test_html_is_escaped():
    reason = PendingReason(kind=ReasonKind.OTHER, message="<script>")
    found = Explanation(
        session_id="1",
        session_name="<i>",
        state=Phase.QUEUED,
        status="PENDING",
        verdict=Verdict.UNKNOWN,
        reasons=(reason,),
    )
    assert "<script>" not in found._repr_html_()
    assert "<i>" not in found._repr_html_()
    assert "<li><b>other</b>: &lt;script&gt;</li>" in found._repr_html_()
