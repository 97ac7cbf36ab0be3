"""What differs between the releases the local cluster can pretend to be, as data.

Assumes that every difference is one named field with a default that fits the oldest release: code asks
`release.some_flag` and never compares version strings, so a new release is one more value in `RELEASES`.
Captured answers of real servers come before the reference text where the two disagree.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RELEASES", "Release", "release_named"]

_V4_TO_V7: Final = (
    "v4.20181215",
    "v4.20190115",
    "v4.20190315",
    "v4.20190615",
    "v5.20191215",
    "v6.20200815",
    "v6.20210815",
    "v6.20220315",
    "v6.20220615",
    "v6.20230315",
    "v7.20230615",
)
_OLD_FLOW: Final = ("SCHEDULED", "PREPARING", "PULLING", "RUNNING")
_NEW_FLOW: Final = ("SCHEDULED", "PREPARING", "PULLING", "PREPARED", "CREATING", "RUNNING")


@attrs.frozen(kw_only=True)
class Release:
    """One manager release and its habits, good and bad."""

    name: str
    manager: str  # what GET / calls it
    api_version: str
    accepted_versions: tuple[str, ...]

    # --- parameters -------------------------------------------------------------------------------------
    strict_keys: bool = True  # closed dicts: an unknown key is an error
    bad_config_500: bool = True  # a bad `config` is an uncaught error
    typed_sources: bool = False  # each route reads either the body or the query, and ignores the other
    name_pattern: bool = True  # create checks the session name
    cluster_mode_any_case: bool = False
    priority: bool = False
    config_keys: frozenset[str] = frozenset()  # config keys of API v6+, besides the common ones
    agent_list_for_all: bool = False

    # --- errors -----------------------------------------------------------------------------------------
    error_codes: bool = False
    compact_json: bool = False  # problem and event bodies without blanks after ":" and ","
    unknown_key_msg: str = "Access key not found"
    mismatch_msg: str = "Signature mismatch"
    entity_not_found: bool = False  # unknown sessions are "Entity not found." instead of "No such session."
    resource_group_words: bool = False  # "resource group" instead of "scaling group"
    quota_status: int = 412
    execute_params_500: bool = False
    ratelimit_on_errors: bool = False  # and on streams, as headers that come before a handler's answer do
    ratelimit_reset: bool = False
    anonymous_limited: bool = False

    # --- status machine ---------------------------------------------------------------------------------
    flow: tuple[str, ...] = _OLD_FLOW  # after PENDING
    fresh_scheduled_info: str | None = "scheduled"
    running_status_info: str | None = ""
    running_status_data: bool = True  # {} instead of null once it runs
    starts_at_is_running_time: bool = False
    occupying_slots_always: bool = True  # also while PENDING and after the end
    blank_tag: bool = False
    startup_command_listed: bool = False

    # --- create, info, destroy --------------------------------------------------------------------------
    reuse_both_ports: bool = False
    wait_cap: float | None = None  # with maxWaitSeconds, any wait ends after this many seconds
    dead_during_wait_404: bool = False
    info_500: bool = False
    info_decimals: str = ""  # what each Decimal is padded with in the info's Python reprs
    info_iso_time: bool = False
    info_age_first: bool = False
    new_destroy: bool = False  # always an object, PENDING says "cancelled", nothing refused
    destroy_finds_dead: bool = False
    forced_is_immediate: bool = False
    restart_501: bool = False
    rename_conflict: bool = False
    rename_moves_events: bool = True  # False: events keep the old name after a rename
    status_history: bool = False
    status_history_wrapped: bool = True
    transit_status: bool = False
    graph_unknown_404: bool = False
    download_post: bool = True
    bare_file_errors: bool = False  # what an agent could not store is 204, what it could not read a bare 500
    download_get_gone: bool = False  # GET is not even refused any more: there is no such method
    complete_suggestions: bool = False

    # --- apps, terminals, tasks -------------------------------------------------------------------------
    pty_ends_at_first_key: bool = False
    proxy_cuts: bool = False  # the end of a connection to an app comes without a closing frame
    imagify: bool = False
    unknown_task_500: bool = False
    unknown_task_silent: bool = False  # an open stream that tells nothing
    bare_tasks: bool = False  # a task tells its start and its end, and no numbers of progress

    # --- execute ----------------------------------------------------------------------------------------
    run_id_key: str = "runId"
    drop_output_between_steps: bool = False
    exceptions_fail: bool = False

    # --- GraphQL ----------------------------------------------------------------------------------------
    gql_errors_null: bool = False
    gql_syntax_500: bool = False
    image_limits_infinite: bool = False  # what has no limit is told as "Infinity", not as null
    detail_group_name_cut: bool = False
    dependencies_error: str | None = (
        None  # what telling them fails with if there are some; "" is the first's id
    )
    told_why_pending: bool = True  # status_info and status_data of a session that waits
    container_abusing_report_broken: bool = False
    requested_slots_field: bool = False
    list_statuses_extra: tuple[str, ...] = ()

    # --- events -----------------------------------------------------------------------------------------
    session_events: tuple[str, ...] = ()  # session_* names sent for starting, besides the end ones
    status_named_events: bool = False  # session_<status> names, kernel events after session_prepared
    duplicate_session_events: bool = False
    event_exit_codes: bool = True
    event_session_id_filters: bool = True  # False: sessionId is read and ignored
    event_unknown_name_404: bool = False
    event_comma_scopes: bool = False
    event_kernel_id_on_session: bool = False
    kernel_terminating_event: bool = True
    kernel_terminated_times: int = 3
    kernel_cancelled_event: bool = True

    # --- webserver --------------------------------------------------------------------------------------
    login_failure_status: int = 200
    logout_status: int = 201

    @property
    def statuses(self) -> tuple[str, ...]:
        """Every session status this release knows."""
        middle = tuple(s for s in self.flow if s != "RUNNING")
        end = ("RUNNING", "RESTARTING", "RUNNING_DEGRADED", "TERMINATING", "TERMINATED", "ERROR", "CANCELLED")
        return ("PENDING", *middle, *self.list_statuses_extra, *end)


_CONFIG_V5: Final = frozenset({"agent_list", "agentList"})
_CONFIG_V6: Final = _CONFIG_V5 | {"mount_options", "mountOptions"}
_CONFIG_V7: Final = _CONFIG_V6 | {
    "attach_network",
    "attachNetwork",
    "mount_ids",
    "mount_id_map",
    "mountIdMap",
}

_23_09: Final = Release(
    name="23.09",
    manager="23.09.10",
    api_version="v7.20230615",
    accepted_versions=_V4_TO_V7,
    config_keys=_CONFIG_V5,
    detail_group_name_cut=True,
    dependencies_error="",
    container_abusing_report_broken=True,
    rename_moves_events=False,
    event_kernel_id_on_session=True,
    download_post=False,
    pty_ends_at_first_key=True,
    proxy_cuts=True,
    unknown_task_500=True,
)
_24_03: Final = attrs.evolve(
    _23_09,
    name="24.03",
    manager="24.03.11",
    api_version="v8.20240315",
    accepted_versions=(*_V4_TO_V7, "v8.20240315"),
    config_keys=_CONFIG_V6,
    detail_group_name_cut=False,
    dependencies_error=None,
    container_abusing_report_broken=False,
    rename_moves_events=True,
    requested_slots_field=True,
    gql_syntax_500=True,
    session_events=("enqueued", "scheduled", "started", "cancelled"),
    download_post=True,
    imagify=True,
    proxy_cuts=False,
    unknown_task_500=False,
)
_25_19: Final = attrs.evolve(
    _24_03,
    name="25.19",
    manager="25.19.2",
    api_version="v9.20250722",
    accepted_versions=(*_V4_TO_V7, "v8.20240315", "v8.20240915", "v9.20250722"),
    config_keys=_CONFIG_V7,
    cluster_mode_any_case=True,
    priority=True,
    agent_list_for_all=True,
    error_codes=True,
    quota_status=400,
    execute_params_500=True,
    flow=_NEW_FLOW,
    fresh_scheduled_info=None,
    running_status_info=None,
    running_status_data=False,
    starts_at_is_running_time=True,
    occupying_slots_always=False,
    startup_command_listed=True,
    reuse_both_ports=True,
    wait_cap=60.0,
    dead_during_wait_404=True,
    info_500=True,
    info_decimals=".000000",
    info_iso_time=True,
    new_destroy=True,
    destroy_finds_dead=True,
    rename_conflict=True,
    status_history=True,
    transit_status=True,
    pty_ends_at_first_key=False,
    graph_unknown_404=True,
    run_id_key="run_id",
    drop_output_between_steps=True,
    session_events=("enqueued", "scheduled", "started", "cancelled"),
    status_named_events=True,
    duplicate_session_events=True,
    event_exit_codes=False,
    event_session_id_filters=False,
    event_unknown_name_404=True,
    event_comma_scopes=True,
    event_kernel_id_on_session=False,
    kernel_terminated_times=2,
    kernel_terminating_event=False,
    kernel_cancelled_event=False,
)
_26_8: Final = attrs.evolve(
    _25_19,
    name="26.8",
    manager="26.8.1",
    accepted_versions=tuple(
        sorted(({*_25_19.accepted_versions} - {"v6.20210815"}) | {"v6.20221201"}),
    ),
    strict_keys=False,
    bad_config_500=False,
    typed_sources=True,
    name_pattern=False,
    compact_json=True,
    unknown_key_msg="Access key not found in HMAC",
    mismatch_msg="HMAC signature mismatch",
    resource_group_words=True,
    ratelimit_on_errors=True,
    blank_tag=True,
    wait_cap=None,
    info_500=False,
    info_age_first=True,
    forced_is_immediate=True,
    complete_suggestions=True,
    bare_tasks=True,
    exceptions_fail=True,
    gql_errors_null=True,
    gql_syntax_500=False,
    list_statuses_extra=("DEPRIORITIZING", "RESERVED", "PREEMPTED", "RESCHEDULING"),
    session_events=(),
    duplicate_session_events=False,
)
_26_9: Final = attrs.evolve(
    _26_8,
    name="26.9",
    manager="26.9.6",
    entity_not_found=True,
    ratelimit_reset=True,
    anonymous_limited=True,
    destroy_finds_dead=False,
    restart_501=True,
    dependencies_error="email",
    image_limits_infinite=True,
    told_why_pending=False,
    unknown_task_silent=True,
    download_get_gone=True,
    bare_file_errors=True,
    status_history_wrapped=False,
    login_failure_status=401,
    logout_status=200,
)

RELEASES: Final[Mapping[str, Release]] = MappingProxyType(
    {release.name: release for release in (_23_09, _24_03, _25_19, _26_8, _26_9)},
)


def release_named(name: str) -> Release:
    """The release called `name`, or a `ValueError` that lists the choices."""
    try:
        return RELEASES[name]
    except KeyError:
        choices = ", ".join(RELEASES)
        raise ValueError(f"unknown release {name!r}: choose one of {choices}") from None
