"""TLS is verified by default; only verify_ssl=False takes a certificate that nobody vouches for."""

from __future__ import annotations

import ssl

import pytest
from wire_manager import listing

from backendai_sdk import ConnectError, RetryPolicy, Timeouts, TransportError


async def test_a_self_signed_certificate_is_refused(serve, client, tls):
    server = await serve(lambda seen: listing(), tls=tls)
    api = await client(server)
    with pytest.raises(ConnectError, match=r"certificate was not accepted.*verify_ssl=False") as caught:
        await api.list()
    assert server.seen == []
    assert len(caught.value.attempts) == 4


async def test_it_is_taken_without_verification(serve, client, tls):
    server = await serve(lambda seen: listing(), tls=tls)
    api = await client(server, verify_ssl=False)
    assert (await api.list()).total_count == 0
    assert server.endpoint.startswith("https://")


async def test_one_that_is_trusted_is_taken(serve, client, tls, certificate, monkeypatch):
    make = ssl.create_default_context

    def trusting(*args, **kwargs):
        context = make(*args, **kwargs)
        context.load_verify_locations(certificate)
        return context

    monkeypatch.setattr(ssl, "create_default_context", trusting)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting())
    server = await serve(lambda seen: listing(), tls=tls)
    assert (await (await client(server)).list()).total_count == 0


async def test_tls_where_there_is_none(serve, client):
    server = await serve(lambda seen: listing())
    api = await client(
        server.endpoint.replace("http://", "https://"),
        timeouts=Timeouts(connect=0.2),
        retry=RetryPolicy(max_attempts=1),
    )
    with pytest.raises(ConnectError, match=r"GET /: .*timeouts\.connect.*is `endpoint` right"):
        await api.list()


async def test_no_tls_where_it_is_wanted(serve, client, tls):
    server = await serve(lambda seen: listing(), tls=tls)
    api = await client(server.endpoint.replace("https://", "http://"))
    with pytest.raises(TransportError, match="GET /: "):
        await api.list()
