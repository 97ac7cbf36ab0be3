"""What users write, for the type checkers: nothing here is Any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_type

from fakepkg._sync.pager import Pager
from fakepkg._sync.store import Store
from fakepkg._sync.thing import Stream, Thing

with Store("x", limit=1) as store:
    assert_type(store, Store)
    assert_type(store.list(), Pager[str])
    assert_type(list(store.list()), list[str])
    assert_type(store.list().first(), list[str])
    assert_type(store.get("a"), Thing)
    assert_type(store.find("a"), Thing | None)
    assert_type(store.several("a"), Sequence[Thing])
    assert_type(store.all(), tuple[Thing, ...])
    assert_type(store.fixed(), tuple[Thing, int])
    assert_type(store.by_name(["a"]), dict[str, Thing])
    assert_type(Store.local(), Store)
    assert_type(Store.connect("x"), Store)
    assert_type(store.view(), Store)
    with store.make("x", on_progress=print) as thing:
        assert_type(thing, Thing)
        assert_type(thing.read(), str)
        assert_type(thing.read(mode="bytes"), bytes)
        assert_type(thing.events(), Iterator[int])
        assert_type(thing.parts(1), Iterator[Thing])
        assert_type(thing.store, Store)
        assert_type(thing.inherited(1), int)
        assert_type(thing.name, str)
        with thing.stream() as stream:
            assert_type(stream, Stream)
            assert_type(next(stream), int)
        store.drop(thing, "b", also=[thing])

        def work(each: Thing) -> str:
            return each.name

        assert_type(store.each(work, "a"), Sequence[str])
