"""What is sent about apps, and what is read of them."""

from __future__ import annotations

import json

import pytest

from backendai_sdk._wire.apps import app_named, app_parameters, local_port_argument, read_access, read_apps
from backendai_sdk.errors import AppNotFound, InvalidArgument, WireError
from backendai_sdk.models.app import App


def test_parameters():
    assert app_parameters("simple") == {"app": "simple"}
    full = app_parameters(
        "jupyter", port=8080, env={"A": "1"}, args={"--x": "y", "--many": ["a", "b"], "--flag": None}
    )
    assert full["port"] == 8080
    # JSON inside a string (PROTOCOL §9.12).
    assert json.loads(str(full["envs"])) == {"A": "1"}
    assert json.loads(str(full["arguments"])) == {"--x": "y", "--many": ["a", "b"], "--flag": None}
    assert app_parameters("simple", env={}, args={}) == {"app": "simple"}


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"name": ""}, "app"),
        ({"name": " "}, "app"),
        ({"name": "a\nb"}, "app"),
        ({"name": 8080}, "app"),
        ({"port": 80}, "port"),
        ({"port": 65536}, "port"),
        ({"port": True}, "port"),
        ({"port": "8080"}, "port"),
        ({"env": {"A": 1}}, "env"),
        ({"env": ["A=1"]}, "env"),
        ({"args": ["--x"]}, "args"),
        ({"args": {"--x": 1}}, "args"),
        ({"args": {"--x": [1]}}, "args"),
        ({"args": {1: "x"}}, "args"),
    ],
)
def test_parameters_that_cannot_be_sent(change, argument):
    given = {"name": "simple", **change}
    with pytest.raises(InvalidArgument, match=f"^{argument}: ") as caught:
        app_parameters(**given)
    assert caught.value.argument == argument


@pytest.mark.parametrize("port", [-1, 65536, True, "80", 1.5, None])
def test_local_ports_that_are_none(port):
    with pytest.raises(InvalidArgument, match="local_port"):
        local_port_argument(port)


def test_local_ports():
    assert [local_port_argument(p) for p in (0, 1, 65535)] == [0, 1, 65535]


def test_apps_as_seen_on_23_09():
    seen = [
        {"name": "sshd", "protocol": "tcp", "ports": [2200]},
        {"name": "simple", "protocol": "http", "ports": [8088], "url_template": "{host}", "new": 1},
    ]
    sshd, simple = read_apps(seen)
    assert (sshd.name, sshd.protocol, sshd.ports) == ("sshd", "tcp", (2200,))
    assert (simple.url_template, simple.extra) == ("{host}", {"new": 1})


def test_apps_in_the_raw_form():
    raw = [
        {
            "name": "x",
            "protocol": "tcp",
            "host_ports": [30001],
            "is_inference": False,
            "container_ports": [22],
        }
    ]
    assert read_apps(raw)[0].ports == (22,)
    listed = [{"name": "x", "allowed_arguments": '["--a"]', "allowed_envs": {"A": None}}]
    assert read_apps(listed)[0].allowed_arguments == ["--a"]


def test_no_apps():
    assert read_apps([]) == read_apps(None) == ()
    for odd in ({}, "x", [1], [{"protocol": "tcp"}]):
        with pytest.raises(WireError):
            read_apps(odd)


def test_an_app_by_name():
    apps = (App(name="a"), App(name="b"))
    assert app_named("b", apps, session="s-1") is apps[1]
    with pytest.raises(AppNotFound, match=r"s-1 has no app 'c'; it has: a, b"):
        app_named("c", apps, session="s-1")
    with pytest.raises(AppNotFound, match="it has: none"):
        app_named("c", (), session="s-1")


def test_access_keeps_its_token_to_itself():
    access = read_access({"token": "very-secret", "wsproxy_addr": "http://proxy:1"}, app="simple")
    assert (access.app, access.token, access.proxy_address) == ("simple", "very-secret", "http://proxy:1")
    assert "very-secret" not in repr(access)
    for odd in (None, [], {"token": "x"}, {"wsproxy_addr": "x"}):
        with pytest.raises(WireError):
            read_access(odd, app="simple")
