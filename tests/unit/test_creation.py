"""What is sent to create a session: only what a release knows, and nothing that a server would refuse."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backendai_sdk._wire.creation import CreateSpec, create_body, random_name, valid_name
from backendai_sdk.errors import InvalidArgument, NotSupported
from backendai_sdk.models.server import ServerInfo

# PROTOCOL §2.2, by release. The names are those of the closed dictionaries of 23.09.
TOP = (
    {
        "name",
        "session_name",
        "clientSessionToken",
        "image",
        "lang",
        "arch",
        "architecture",
        "type",
        "sessionType",
    }
    | {
        "group",
        "groupName",
        "group_name",
        "domain",
        "domainName",
        "domain_name",
        "cluster_size",
        "clusterSize",
    }
    | {
        "cluster_mode",
        "clusterMode",
        "config",
        "tag",
        "enqueueOnly",
        "maxWaitSeconds",
        "starts_at",
        "startsAt",
    }
    | {
        "reuseIfExists",
        "startupCommand",
        "bootstrap_script",
        "bootstrapScript",
        "dependencies",
        "callback_url",
    }
    | {"callbackUrl", "callbackURL", "owner_access_key"}
)
CONFIG = {
    "mounts",
    "mount_map",
    "mountMap",
    "environ",
    "scaling_group",
    "scalingGroup",
    "resources",
    "resource_opts",
} | {"resourceOpts", "preopen_ports", "preopenPorts", "agent_list", "agentList"}
RELEASES = {
    (23, 9, 0): (TOP, CONFIG),
    (24, 3, 0): (TOP, CONFIG | {"mount_options"}),
    (24, 9, 0): (TOP | {"priority"}, CONFIG | {"mount_options"}),
    (25, 3, 0): (TOP | {"priority", "batch_timeout"}, CONFIG | {"mount_options", "attach_network"}),
    (25, 19, 0): (
        TOP | {"priority", "batch_timeout"},
        CONFIG | {"mount_options", "attach_network", "mount_ids", "mount_id_map"},
    ),
    (26, 8, 0): (
        TOP | {"priority", "batch_timeout", "job_priority", "is_preemptible"},
        CONFIG | {"mount_options", "attach_network", "mount_ids", "mount_id_map"},
    ),
}
DEFAULTS = dict.fromkeys(a.name for a in attrs.fields(CreateSpec) if a.name != "image") | {
    "type": "interactive",
    "cluster_size": 1,
    "cluster_mode": "single-node",
    "domain": "default",
    "project": "default",
}


def server(release):
    return ServerInfo(
        api_version="v", server_version="v", manager=".".join(map(str, release)), release=release
    )


def spec(image="python", **given):
    return CreateSpec.checked(image, **(DEFAULTS | given))


def body(release=(26, 8, 0), *, reuse=False, **given):
    return create_body(spec(**given), server(release), reuse=reuse)


WORD = st.text("abcXYZ019_", min_size=4, max_size=10)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": WORD,
        "resources": st.sampled_from(["cpu=1 mem=2g", {"cpu": 2, "mem": "4g", "cuda.shares": 0.5}, {}]),
        "resource_opts": st.sampled_from([{}, {"shmem": "1g"}, {"of_the_future": True}]),
        "mounts": st.sampled_from([[], ["data"], ["data:/x", "b=/y"], {"a": None, "b": "/z"}]),
        "env": st.dictionaries(WORD, st.text()),
        "startup_command": st.none() | st.just("") | WORD,
        "bootstrap_script": st.none() | st.text(),
        "cluster_size": st.integers(1, 9),
        "cluster_mode": st.sampled_from(["single-node", "multi-node", "MULTI_NODE"]),
        "scaling_group": st.none() | WORD,
        "tag": st.none() | WORD,
        "dependencies": st.none() | st.lists(WORD),
        "callback_url": st.sampled_from([None, "http://x/y"]),
        "architecture": st.sampled_from([None, "aarch64"]),
        "owner_access_key": st.none() | WORD,
        "preopen_ports": st.none() | st.lists(st.integers(1024, 65535)),
        "agents": st.none() | st.lists(WORD),
        "priority": st.none() | st.integers(0, 100),
    },
)
BATCH = st.fixed_dictionaries(
    {"type": st.just("batch"), "startup_command": WORD},
    optional={
        "batch_timeout": st.none() | st.floats(1, 1e7),
        "starts_at": st.sampled_from([None, "30min", datetime.now(UTC)]),
    },
)


@pytest.mark.parametrize("release", RELEASES)
@settings(max_examples=60)
@given(OPTIONS, st.just({}) | BATCH, st.booleans())
def test_only_keys_that_the_release_knows(release, given, batch, reuse):
    try:
        sent = body(release, reuse=reuse, **(given | batch))
    except NotSupported as exc:
        asked = {k for k in ("priority", "batch_timeout") if (given | batch).get(k) is not None}
        assert asked - RELEASES[release][0]
        assert "leave it out" in str(exc)  # noqa: PT017
        return
    top, config = RELEASES[release]
    assert set(sent) <= top
    assert set(sent["config"]) <= config
    # Blank texts fail the servers' checks, and null says nothing.
    assert not [k for k, v in sent.items() if v is None or v == ""]
    assert sent["enqueueOnly"] is True
    assert sent["reuseIfExists"] is reuse
    assert json.loads(json.dumps(sent)) == sent


def test_a_plain_one():
    sent = body(name="my-session")
    assert sent == {
        "name": "my-session",
        "image": "python",
        "type": "interactive",
        "group": "default",
        "domain": "default",
        "clusterSize": 1,
        "clusterMode": "single-node",
        "enqueueOnly": True,
        "maxWaitSeconds": 0,
        "reuseIfExists": False,
        "config": {"mounts": [], "mount_map": {}, "environ": {}, "resource_opts": {}},
    }


def test_what_becomes_of_the_options():
    sent = body(
        resources="cpu=4 mem=8g cuda.shares=0.5 shmem=1g",
        mounts=["data", "in:/home/work/in"],
        bootstrap_script="echo ü",
        scaling_group="gpu",
        agents=["i-1"],
        preopen_ports=[8080],
        type="batch",
        startup_command="true",
        starts_at=datetime(2030, 1, 1, tzinfo=UTC),
        batch_timeout=timedelta(days=14, seconds=0.5),
        priority=7,
    )
    config = sent["config"]
    assert config["resources"] == {"cpu": "4", "mem": str(8 << 30), "cuda.shares": "0.5"}
    assert list(config["resource_opts"]) == ["shmem"]
    assert config["mounts"] == ["data", "in"]
    assert config["mount_map"] == {"in": "/home/work/in"}
    assert sent["bootstrap_script"] == "echo ü"
    assert (config["scalingGroup"], config["agentList"], config["preopen_ports"]) == ("gpu", ["i-1"], [8080])
    assert sent["starts_at"] == "2030-01-01T00:00:00+00:00"
    assert (sent["batch_timeout"], sent["priority"]) == ("1209600.5s", 7)


@given(st.floats(1e-3, 1e9) | st.integers(1, 10**9))
def test_a_time_is_sent_as_digits(seconds):
    sent = body(type="batch", startup_command="true", batch_timeout=seconds)["batch_timeout"]
    assert re.fullmatch(r"\d+(\.\d+)?s", sent)
    assert float(sent[:-1]) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"image": " "}, "image"),
        ({"image": None}, "image"),
        ({"type": "system"}, "type"),
        ({"type": None}, "type"),
        ({"type": "batch", "startup_command": " "}, "startup_command"),
        ({"starts_at": "30min"}, "starts_at"),
        ({"type": "batch", "startup_command": "x", "starts_at": datetime(2030, 1, 1)}, "starts_at"),
        ({"type": "batch", "startup_command": "x", "batch_timeout": 0}, "batch_timeout"),
        ({"type": "batch", "startup_command": "x", "batch_timeout": float("inf")}, "batch_timeout"),
        ({"cluster_mode": "many"}, "cluster_mode"),
        ({"cluster_mode": None}, "cluster_mode"),
        ({"cluster_size": 0}, "cluster_size"),
        ({"cluster_size": True}, "cluster_size"),
        ({"preopen_ports": [1023]}, "preopen_ports"),
        ({"priority": 101}, "priority"),
        ({"tag": "x" * 65}, "tag"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"mounts": "data"}, "mounts"),
        ({"mounts": [":/x"]}, "mounts"),
        ({"dependencies": "abc"}, "dependencies"),
        ({"agents": "i-1"}, "agents"),
        ({"callback_url": "x.example"}, "callback_url"),
        ({"scaling_group": ""}, "scaling_group"),
        ({"name": "a b c d"}, "name"),
    ],
)
def test_what_is_refused(given, argument):
    with pytest.raises(InvalidArgument, match=f"^{argument}: ") as caught:
        spec(**given)
    assert caught.value.argument == argument


@given(st.text(max_size=70))
def test_names_by_the_servers_rule(name):
    # The rule of PROTOCOL §2.2, with ASCII word characters and the whole text.
    fits = re.fullmatch(r"(?=.{4,64}\Z)\w[\w.-]*\w", name, re.ASCII) is not None and name != "from-template"
    if fits:
        assert valid_name(name) == name
    else:
        with pytest.raises(InvalidArgument, match="4 to 64 ASCII"):
            valid_name(name)


@pytest.mark.parametrize(
    "name", ["a" * 3, "a" * 65, "-abc", "abc.", "ab\n", "abcd\n", "from-template", None, 5]
)
def test_names_that_servers_refuse(name):
    with pytest.raises(InvalidArgument, match="from-template"):
        valid_name(name)


def test_random_names():
    names = {random_name() for _ in range(200)}
    assert len(names) == 200
    assert all(valid_name(name) == name for name in names)
    assert spec().name != spec().name


@pytest.mark.parametrize(("release", "sent"), [((25, 3, 0), "exit 3"), ((26, 8, 0), "sleep 1\nexit 3")])
def test_a_batch_command_that_may_be_over_at_once_begins_slowly_where_its_end_would_be_lost(release, sent):
    assert body(release, type="batch", startup_command="exit 3")["startupCommand"] == sent


def test_what_only_the_server_can_translate_is_sent_as_it_is():
    assert body(type="batch", startup_command="*")["startupCommand"] == "*"
    assert body(startup_command="ls")["startupCommand"] == "ls"
