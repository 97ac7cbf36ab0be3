"""The set of faults: patterns, counts, luck and its seed, handles, threads, and what is refused."""

from __future__ import annotations

import threading

import pytest

from backendai_sdk.local import LocalCluster
from backendai_sdk.local.faults import (
    Bandwidth,
    Cut,
    DropEvent,
    DuplicateEvent,
    ErrorStatus,
    Faults,
    HalfOpen,
    HtmlPage,
    Latency,
    LostReply,
    ReorderEvent,
    Reset,
    Slices,
    SlowClose,
    TooManyRequests,
    TruncatedJson,
)
from backendai_sdk.local.faults.pattern import Pattern, target_of


@pytest.mark.parametrize(
    ("on", "target", "matches"),
    [
        ("*", "GET /", True),
        ("*", "connect", False),
        ("connect", "connect", True),
        ("connect", "GET /", False),
        ("POST /session*", "POST /session", True),
        ("POST /session*", "POST /session/a/upload", True),
        ("POST /session*", "GET /session", False),
        ("/session/*", "DELETE /session/a", True),
        ("* /session", "POST /session", True),
        ("*/upload", "POST /session/a/upload", True),
        ("P* /session", "PUT /session", True),
        ("GET /session/[ab]", "GET /session/b", True),
    ],
)
def test_patterns(on, target, matches):
    assert Pattern.for_requests(on, connections=True).matches(target) is matches


def test_a_request_is_called_the_same_through_the_web_server():
    assert target_of("GET", "/func/session/a") == "GET /session/a"
    assert target_of("GET", "/func") == target_of("GET", "/func/") == "GET /"
    assert target_of("GET", "/function") == "GET /function"


def strike(faults, target="GET /", times=1):
    return [[i.fault for i in faults.for_request(target)[0]] for _ in range(times)]


def test_times_and_skip():
    faults = Faults()
    late = Latency(1)
    faults.add(late, times=2, skip=1)
    assert strike(faults, times=5) == [[], [late], [late], [], []]


def luck(seed, probability=0.3, noise=False):
    faults = Faults(seed)
    faults.add(Latency(1), "GET /a", probability=probability)
    faults.add(Latency(2), "GET /b", probability=probability)
    struck = []
    for _ in range(200):
        if noise:
            faults.for_request("GET /b")
        struck += strike(faults, "GET /a")
    return struck


def test_the_seed_repeats_the_luck():
    assert luck(1) == luck(1) != luck(2)
    assert luck(1) == luck(1, noise=True)  # whatever else goes on
    assert 30 < sum(map(bool, luck(1))) < 90
    assert not any(luck(1, 0.0))
    assert all(luck(1, 1.0))


def test_clear_begins_anew():
    faults = Faults(3)

    def rounds():
        faults.clear()
        faults.add(Latency(1), probability=0.5)
        return strike(faults, times=50)

    assert rounds() == rounds()
    faults.clear()
    assert (faults.active, faults.hits) == ((), ())


def test_without_a_seed_it_can_still_be_repeated():
    faults = Faults()
    assert Faults(faults.seed).seed == faults.seed
    assert str(faults.seed) in repr(faults)
    assert Faults().seed != Faults().seed


def test_handles():
    faults = Faults()
    with faults.add(Latency(1), "POST /session") as fault:
        assert fault.fault == Latency(1)
        assert fault.on == "POST /session"
        assert faults.active == (fault,)
        assert "Latency(seconds=1" in repr(fault)
    assert faults.active == ()
    fault.remove()
    assert strike(faults) == [[]]


def test_waiting_for_a_hit_from_another_thread():
    faults = Faults()
    fault = faults.add(DropEvent(), "session_started")
    with pytest.raises(TimeoutError, match="0 times of 1"):
        fault.wait_hit(timeout=0.01)
    thread = threading.Timer(0.05, lambda: fault.record("session_started"))
    thread.start()
    fault.wait_hit(timeout=10)
    thread.join()
    assert faults.hits == fault.hits
    assert faults.hits[0].target == "session_started"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda f: Latency(-1), ValueError, r"Latency\(seconds=-1\): at least 0"),
        (lambda f: Latency(float("nan")), ValueError, "seconds=nan"),
        (lambda f: Latency("1"), TypeError, "a number"),
        (lambda f: Latency(True), TypeError, "a number"),
        (lambda f: Bandwidth(0), ValueError, "more than 0"),
        (lambda f: Slices(0), ValueError, "at least 1"),
        (lambda f: Slices(1.5), TypeError, "whole number"),
        (lambda f: Slices(1, pause=-1), ValueError, "pause"),
        (lambda f: Reset(-1), ValueError, "at least 0"),
        (lambda f: Cut(5, of="reply"), ValueError, "'answer', 'request'"),
        (lambda f: HalfOpen(-1), ValueError, "at least 0"),
        (lambda f: SlowClose(-1), ValueError, "at least 0"),
        (lambda f: ErrorStatus(404), ValueError, "500, 502, 503, 504"),
        (lambda f: HtmlPage(99), ValueError, "at least 200"),
        (lambda f: HtmlPage(600), ValueError, "200 to 599"),
        (lambda f: TruncatedJson(1), ValueError, "less than 1"),
        (lambda f: LostReply(then="never"), ValueError, "'silence', 'reset', 'close'"),
        (lambda f: TooManyRequests(retry_after=-1), ValueError, "at least 0"),
        (lambda f: DuplicateEvent(1), ValueError, "at least 2"),
        (lambda f: ReorderEvent(0), ValueError, "at least 1"),
        (lambda f: f.add("latency"), TypeError, "expected a fault"),
        (lambda f: f.add(Latency), TypeError, "expected a fault"),
        (lambda f: f.add(Latency(1), 7), TypeError, "a text"),
        (lambda f: f.add(Latency(1), ""), ValueError, "a method and a path"),
        (lambda f: f.add(Latency(1), "session"), ValueError, "a method and a path"),
        (lambda f: f.add(Latency(1), "post /session"), ValueError, "a method and a path"),
        (lambda f: f.add(ErrorStatus(), "connect"), ValueError, "a method and a path"),
        (lambda f: f.add(DropEvent(), "POST /session"), ValueError, "the name of an event"),
        (lambda f: f.add(Latency(1), times=0), ValueError, "times=0: at least 1"),
        (lambda f: f.add(Latency(1), times=1.5), TypeError, "whole number"),
        (lambda f: f.add(Latency(1), skip=-1), ValueError, "skip=-1"),
        (lambda f: f.add(Latency(1), probability=1.1), ValueError, "0 to 1"),
        (lambda f: f.add(Latency(1), probability="half"), TypeError, "a number"),
        (lambda f: f.script("GET /", ErrorStatus(), "oops"), TypeError, "expected a fault"),
        (lambda f: Faults("seed"), TypeError, "faults_seed='seed'"),
        (lambda f: LocalCluster(faults_seed=1.5), TypeError, "faults_seed=1.5"),
    ],
)
def test_refused_at_once(make, error, words):
    faults = Faults()
    with pytest.raises(error, match=words):
        make(faults)
    assert faults.active == ()


def test_set_before_the_start_and_from_any_thread():
    cluster = LocalCluster(faults_seed=9)
    assert cluster.faults.seed == 9
    fault = cluster.faults.add(Reset(), "connect", times=1)
    with cluster:
        import http.client
        from urllib.parse import urlsplit

        parts = urlsplit(cluster.endpoint)

        def get():
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read()
            finally:
                connection.close()

        with pytest.raises(ConnectionError):
            get()
        assert get().startswith(b"{")
        threads = [
            threading.Thread(target=lambda: cluster.faults.add(Latency(0), "GET /none")) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(cluster.faults.active) == 9
        assert len(fault.hits) == 1
