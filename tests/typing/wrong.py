"""Calls that a type checker must refuse. Each line's ignore is needed: mypy fails on one that is not."""

from __future__ import annotations

from backendai_sdk import AsyncSession, Session


async def refused_async(api: AsyncSession) -> None:
    await api.create("python", resource="cpu=1")  # type: ignore[call-arg]
    await api.run("python", code="1", priorities=1)  # type: ignore[call-arg]
    (await api.get("x")).info.nmae  # type: ignore[attr-defined]
    api.list(page_size="10")  # type: ignore[arg-type]
    await (await api.get("x")).execute("1", transport="pigeon")  # type: ignore[arg-type]


def refused_blocking(api: Session) -> None:
    api.create("python", resource="cpu=1")  # type: ignore[call-arg]
    api.run("python", code="1", priorities=1)  # type: ignore[call-arg]
    api.get("x").info.nmae  # type: ignore[attr-defined]
    api.list(page_size="10")  # type: ignore[arg-type]
