"""Where the local cluster answers otherwise than the real servers did, and why that is all right.

Each entry names the captures, the place of the difference, and the reason. A difference without an entry fails, and
so does an entry without its difference: what is put right is taken out here.
"""

from __future__ import annotations

import re

import attrs


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@attrs.frozen
class Explanation:
    """Why some captures differ at a place; ``*`` in the place stands for anything."""

    captures: tuple[str, ...] = attrs.field(converter=_names)
    path: str
    reason: str

    def covers(self, capture: str, path: str) -> bool:
        pattern = ".*".join(re.escape(part) for part in self.path.split("*"))
        return capture in self.captures and re.fullmatch(pattern, path) is not None


@attrs.frozen
class Left:
    """Captures that are not compared."""

    captures: tuple[str, ...] = attrs.field(converter=_names)
    reason: str


_APPS = "jupyter and jupyterlab are listed by the images that were used, and are not installed there; here they are not listed"
_STATISTICS = (
    "statistics of containers are not gathered; the real ones leave them out too where they have none"
)
_DUMMY = (
    "the dummy agent runs nothing and answers with constants; the local cluster does as the Docker agent does"
)
_HOME = "the home of a container has the files of its image; here it is empty"
_CHECKERS = "which idle checkers there are is a setting: that cluster had none but session_lifetime"
_POLICY = "key pairs have no resource policy here but the number of sessions"

EXPLAINED: tuple[Explanation, ...] = (
    Explanation(
        "root-08 root-09", "presets.large", "presets are data: the real cluster had two, this one has three"
    ),
    Explanation(
        "gql-11", "data[0].message", "the words are the same; the hint names a query that this schema has not"
    ),
    Explanation(
        "images-01 images-02 32-gql-images 32b-gql-image",
        "data.image*.labels*",
        "labels are the image's own and in no order; there are the same here",
    ),
    Explanation(
        "32-gql-images 32b-gql-image",
        "data.image*.supported_accelerators*",
        "that cluster's images were for any accelerator, and this one has none",
    ),
    Explanation("32-gql-images", "data.images.made/python", "somebody had made that image of a session"),
    # --- what is not gathered or does not exist here -----------------------------------------------------
    Explanation(
        "create-11 create-12 quota-07 cluster-05 cluster-16 docker-54 app-16 commit-08",
        "stats.*",
        _STATISTICS,
    ),
    Explanation("create-20", "[0].*", _STATISTICS),
    Explanation("docker-10", "data.compute_container_list.items[RUNNING].live_stat", _STATISTICS),
    Explanation("docker-10", "data.compute_container_list.items[RUNNING].last_stat", _STATISTICS),
    Explanation(
        "quota-03", "data.compute_session.status_data→.scheduler.*_predicates.keypair_resource_limit", _POLICY
    ),
    Explanation(
        "quota-03", "data.compute_session.status_data→.scheduler.*_predicates.user_resource_limit", _POLICY
    ),
    Explanation(
        "cluster-15",
        "data.compute_session_list.items[RUNNING].mounts",
        "not there yet: there are no folders, so the session is created without its mount",
    ),
    Explanation(
        "cluster-14 cluster-04", "result.console[0]", "prints the home, or the apps, of the image's container"
    ),
    Explanation("docker-29 06-ls", "files→.*", _HOME),
    # --- apps ---------------------------------------------------------------------------------------------
    Explanation(
        "create-17 quota-01 cluster-01 cluster-13 docker-01 app-01 commit-01 02-session-create 16-commit-create "
        "45b-err-invalid-name 48-create-reuse",
        "servicePorts.jupyter",
        _APPS,
    ),
    Explanation("docker-02 48-create-reuse", "service_ports.jupyter", _APPS),
    Explanation("docker-36", "jupyter", _APPS),
    Explanation(
        "create-15 cluster-03 cluster-11 docker-59", "data.compute_session.service_ports→.jupyter", _APPS
    ),
    Explanation(
        "cluster-15 docker-08 30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[RUNNING].service_ports→.jupyter",
        _APPS,
    ),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[RUNNING].service_ports→.jupyterlab",
        _APPS,
    ),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[TERMINATED].service_ports→.jupyter*",
        _APPS,
    ),
    Explanation("app-05 app-09", "status", _APPS),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[*].service_ports→.simple",
        "the image of that day had not this app; here every image has it",
    ),
    # --- the dummy agent ----------------------------------------------------------------------------------
    Explanation("dummy-01 02-session-create-wait", "servicePorts.sshd", _DUMMY),
    Explanation("dummy-01 02-session-create-wait", "servicePorts.ttyd", _DUMMY),
    Explanation("dummy-01 02-session-create-wait", "servicePorts.simple", _DUMMY),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[TERMINATED].service_ports→.sshd",
        _DUMMY,
    ),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[TERMINATED].service_ports→.ttyd",
        _DUMMY,
    ),
    Explanation("dummy-02", "containerId", _DUMMY),
    Explanation("dummy-03", "status", _DUMMY),
    Explanation("dummy-04", "result", _DUMMY),
    Explanation("dummy-06 06-ls-dummy", "files", _DUMMY),
    Explanation("dummy-06 06-ls-dummy", "abspath", _DUMMY),
    Explanation("dummy-09 07-download-dummy", "parts[0].message→", _DUMMY),
    Explanation("dummy-10", "body", _DUMMY),
    Explanation("09-complete-dummy", "result.suggestions", _DUMMY),
    Explanation("04-execute-query-dummy", "result.console[0]", _DUMMY),
    # --- the real server's bad luck -----------------------------------------------------------------------
    Explanation("docker-20", "status", "the runner of that image never completed anything: it timed out"),
    Explanation("09-complete", "result.suggestions", "the runner of that image found nothing to complete"),
    Explanation(
        "docker-52",
        "status",
        "HTML breaks the agent of 23.09; here the code does not get so far, for want of IPython",
    ),
    Explanation(
        "60-ws-execute-query",
        "frames[*].console[0]",
        "the prompt overtook what was printed before it: two channels, and which is faster is chance",
    ),
    # --- that cluster, that moment ------------------------------------------------------------------------
    Explanation("03-session-info 56-old-api-version", "idleChecks.network_timeout", _CHECKERS),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[*].idle_checks→.network_timeout",
        _CHECKERS,
    ),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[TERMINATING]",
        "a session that has been TERMINATING for minutes; here that takes a moment",
    ),
    Explanation(
        "30-gql-compute_session_list 31-graphql-legacy-route",
        "data.compute_session_list.items[TERMINATED].status_info",
        "wire-1 ended without a reason; dock-1 and first-1, ended by a DELETE, have one, as here",
    ),
    Explanation(
        "20-sse-events 21-sse-events-all-old-names",
        "events of batch-1",
        "a session that was being removed when the recording began",
    ),
    Explanation(
        "45-err-invalid-params",
        "msg",
        "pydantic's own words, which nobody should read by program; here in short",
    ),
)

_FOLDERS = "not there yet: virtual folders"

ABSENT: tuple[Left, ...] = (
    Left(
        "quota-08 quota-09 quota-10 vfolder-01 vfolder-02 vfolder-03 vfolder-04 vfolder-05 vfolder-06 vfolder-07 "
        "vfolder-08 vfolder-09 vfolder-10 vfolder-19 vfolder-20 vfolder-21 vfolder-22 vfolder-26 vfolder-28 vfolder-30 "
        "vfolder-31 vfolder-32 vfolder-33 vfolder-34 vfolder-35 vfolder-36 vfolder-37 vfolder-38 vfolder-39 vfolder-40 "
        "vfolder-41 vfolder-42 vfolder-43 80-folders",
        _FOLDERS,
    ),
    Left(
        "vfolder-11 vfolder-12 vfolder-13 vfolder-14 vfolder-15 vfolder-16 vfolder-17 vfolder-18 vfolder-23 vfolder-24 "
        "vfolder-25 vfolder-27 vfolder-29",
        "not there yet: the storage proxy, which moves the files of folders",
    ),
    Left("app-04", "the stand-in of an app proxy, which knows its own tokens only, there as here"),
    Left(
        "70-v2-sessions-my-search 71-v2-session-get 72-v2-enqueue-empty",
        "REST v2, which no client of sessions needs: it has no way to run code",
    ),
)
"""Endpoints that the local cluster has not: it must answer that it knows no such path."""

NOT_ASKED: tuple[Left, ...] = (
    Left(
        "04h-execute-batch 04i-execute-batch-continue-1 04i-execute-batch-continue-2 04i-execute-batch-continue-3 "
        "04i-execute-batch-continue-4",
        "no answer came: there is nothing to compare with",
    ),
    Left(
        "commit-04 commit-05 16c-commit-events 16d-commit-events-again 17a-imagify-events 17b-imagify-events-again "
        "18-unknown-task",
        "what the stream of a task tells depends on how long the work takes: tests/local/test_tasks.py has its shapes",
    ),
)
