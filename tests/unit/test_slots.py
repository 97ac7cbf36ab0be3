"""Sizes and slots: what people write, what servers answer, and that nothing is lost between the two."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.structure import structure
from backendai_sdk.errors import InvalidArgument, WireError
from backendai_sdk.models.session import SessionInfo
from backendai_sdk.models.slots import ByteSize, ResourceSlots, split_resources

K, M, G, T = (2 ** (10 * i) for i in (1, 2, 3, 4))


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1, "1 byte"),
        (100, "100 bytes"),
        (K, "1k"),
        (1536, "1.5k"),
        (64 * M, "64m"),
        (512 * M, "512m"),
        (3 * 512 * M, "1.5g"),
        (8 * G, "8g"),
        (8 * G + 1, "8589934593 bytes"),
        (768 * G, "768g"),
        (2 * T, "2t"),
        (1024**8, "1y"),
        (1024**9, "1024y"),
        (-G, "-1g"),
    ],
)
def test_sizes_as_text(size, text):
    assert str(ByteSize(size)) == text
    assert repr(ByteSize(size)) == f"ByteSize({text!r})"


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("8GiB", 8 * G),
        ("8g", 8 * G),
        ("8G", 8 * G),
        ("8gb", 8 * G),
        ("8 gbytes", 8 * G),
        ("8gibytes", 8 * G),
        ("2 GiB", 2 * G),
        ("1.5g", 1536 * M),
        (".5k", 512),
        ("1.k", K),
        ("1_024", K),
        ("256", 256),
        (" 256 ", 256),
        ("10 bytes", 10),
        ("10bytes", 10),
        ("1 byte", 1),
        ("0", 0),
        (K, K),
        (8e9, 8_000_000_000),
        (Decimal("1024.0"), K),
        (ByteSize(5), 5),
        ("1y", 1024**8),
    ],
)
def test_sizes_are_read(value, size):
    found = ByteSize.parse(value)
    assert type(found) is ByteSize
    assert found == size


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "1.5",
        "3b",
        "8x",
        "-1g",
        "-5",
        "g",
        "1.2.3g",
        "1e3",
        "inf",
        "nan",
        "8g8",
        "٨g",
        "1.1g",
        "9" * 99,
        True,
        None,
        -1,
        1.5,
        float("inf"),
        float("nan"),
        Decimal("NaN"),
        Decimal("1E+999999999"),
        [1],
    ],
)
def test_what_is_not_a_size(value):
    with pytest.raises(InvalidArgument, match=r"^mem: ") as caught:
        ByteSize.parse(value, argument="mem")
    assert caught.value.argument == "mem"


def test_fractions_of_a_byte_say_what_is_near():
    with pytest.raises(InvalidArgument, match=r"1181116006\.4 bytes.*1181116006"):
        ByteSize.parse("1.1g")


def test_a_size_is_an_integer_otherwise():
    size = ByteSize(8 * G)
    assert json.dumps({"mem": size}) == '{"mem": 8589934592}'
    assert f"{size:d}" == "8589934592"
    assert f"{size}" == "8g"
    assert size + 1 == 8 * G + 1
    assert pickle.loads(pickle.dumps(size)) == size
    assert type(copy.deepcopy(size)) is ByteSize


@given(st.integers(0, 2**100) | st.builds(lambda n, s: n << s, st.integers(0, 4096), st.integers(0, 80)))
def test_every_size_reads_back(size):
    assert ByteSize.parse(str(ByteSize(size))) == size
    # Inside resources, too, where a bare number would be MiB.
    assert ResourceSlots.parse(f"cpu=1 mem={ByteSize(size)}").mem == size


# --- slots, as people write them ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({"cpu": 4, "mem": "8g", "cuda.shares": 2}, {"cpu": "4", "mem": str(8 * G), "cuda.shares": "2"}),
        (["cpu=4", "mem=8g"], {"cpu": "4", "mem": str(8 * G)}),
        (("cpu=4",), {"cpu": "4"}),
        ("cpu=4", {"cpu": "4"}),
        ("cpu=4 mem=8g cuda.shares=2", {"cpu": "4", "mem": str(8 * G), "cuda.shares": "2"}),
        ("cpu=4,mem=8g", {"cpu": "4", "mem": str(8 * G)}),
        (" cpu = 4 , mem = 8 GiB\n", {"cpu": "4", "mem": str(8 * G)}),
        # A bare number in a text is MiB, as in the official command line; an int is bytes.
        ("mem=256", {"mem": str(256 * M)}),
        ("mem=1.5", {"mem": str(1536 * K)}),
        ({"mem": "256"}, {"mem": str(256 * M)}),
        ({"mem": 256}, {"mem": "256"}),
        ({"mem": "256 bytes"}, {"mem": "256"}),
        ({"cuda.mem": "1"}, {"cuda.mem": str(M)}),
        # Fractions are exact.
        ("cuda.shares=0.5", {"cuda.shares": "0.5"}),
        ({"cuda.shares": 0.1}, {"cuda.shares": "0.1"}),
        ({"cuda.shares": Decimal("0.30")}, {"cuda.shares": "0.3"}),
        ({"cpu": Decimal("1E+1")}, {"cpu": "10"}),
        ({"cpu": -0.0}, {"cpu": "0"}),
        ({"cpu": "1_000"}, {"cpu": "1000"}),
        # Names.
        ({"CPU": 1, " Mem ": "1g"}, {"cpu": "1", "mem": str(G)}),
        ({"cuda.device:A100": 1}, {"cuda.device:A100": "1"}),
        ({"cuda.2g.10gb-mig": 1, "warboy.device": 2}, {"cuda.2g.10gb-mig": "1", "warboy.device": "2"}),
        ({}, {}),
        ([], {}),
    ],
)
def test_resources_are_normalised(value, wire):
    slots = ResourceSlots.parse(value)
    assert slots.to_wire() == wire
    assert list(slots) == list(wire)
    assert ResourceSlots(value) == slots
    assert ResourceSlots.parse(slots) is slots
    assert ResourceSlots(slots) == slots


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gpu=1", "'gpu'; write cuda.device or cuda.shares"),
        ({"GPUs": 1}, "'GPUs'; write cuda.device or cuda.shares"),
        ("memory=8g", "'memory'; write mem"),
        ("ram=8g", "'ram'; write mem"),
        ("cpus=8", "'cpus'; write cpu"),
        ("memm=8g", "'memm'; write mem"),
        ("cuda.share=1", "'cuda.share'; write cuda.shares"),
        ("cuda.gpu=1", "'cuda.gpu'; write cuda.device"),
        ("cpu 4", "has no '='"),
        (["cpu=4", "mem"], "'mem' has no '='"),
        ("cpu=4 cpu=5", "cpu is given twice"),
        ({"cpu": 1, "CPU": 2}, "cpu is given twice"),
        ("cpu=", "cpu: there is no amount"),
        ("mem=", "mem: there is no size"),
        ("cpu=-1", "cpu: '-1' is negative"),
        ({"cpu": -1}, "cpu: -1 is negative"),
        ({"mem": -1}, "mem: -1 is negative"),
        ({"cpu": True}, "cpu: True is not an amount"),
        ({"cpu": None}, "cpu: None is not an amount"),
        ({"cpu": [1]}, r"cpu: \[1\] is not an amount"),
        ({"cpu": float("nan")}, "cpu: nan is not finite"),
        ("cpu=NaN", "cpu: 'NaN' is not an amount"),
        ("cpu=4k", "cpu: '4k' is not an amount"),
        ("cpu=4 x", "cpu: '4 x' is not an amount"),
        ("mem=8x", "mem: '8x' is not a size"),
        ("mem=0.0000001", "mem: .* not a whole number"),
        ({"cp!": 1}, "'cp!' cannot be a slot's name; known are cpu, mem"),
        ({"": 1}, "'' cannot be a slot's name"),
        ({"cuda.device:": 1}, "cannot be a slot's name"),
        ({5: 1}, "the slot name 5 is not a text"),
        ("", "the text is empty"),
        ("  ", "the text is empty"),
        ([1], "1 is not a text"),
        (5, "5 is not resources"),
        (b"cpu=1", "is not resources"),
        (None, "None is not resources"),
    ],
)
def test_mistakes_say_what_to_write(value, message):
    with pytest.raises(InvalidArgument, match=rf"^resources: .*{message}") as caught:
        ResourceSlots.parse(value)
    assert caught.value.argument == "resources"


def test_the_argument_can_be_named():
    with pytest.raises(InvalidArgument, match=r"^limits: ") as caught:
        ResourceSlots.parse("gpu=1", argument="limits")
    assert caught.value.argument == "limits"


# --- slots, as servers answer them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"cpu": "1", "mem": "1073741824"}, "cpu=1 mem=1g"),
        ('{"cpu": "1.000000", "mem": "1073741824.000000"}', "cpu=1 mem=1g"),
        (
            {"cpu": "Infinity", "mem": "Infinity", "cuda.shares": "NaN"},
            "cpu=Infinity mem=Infinity cuda.shares=NaN",
        ),
        ({"cpu": None, "mem": 1024, "x": 0.5}, "mem=1k x=0.5"),
        ({"cpu": "-2", "mem": "-1024"}, "cpu=-2 mem=-1k"),  # remaining, of what was overcommitted
        ({"mem": "4g"}, "mem=4g"),
        ({"mem": "1.5"}, "mem=1.5"),
        ("{}", ""),
        ("", ""),
        # What GET /session/{name} answers, 23.9.10 and 26.9.6.
        ("{'cpu': Decimal('1.000000'), 'mem': Decimal('536870912.000000')}", "cpu=1 mem=512m"),
    ],
)
def test_slots_from_the_wire(value, text):
    slots = ResourceSlots.from_wire(value)
    assert str(slots) == text
    assert ResourceSlots.from_wire(slots.to_wire()) == slots


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        [],
        "x",
        "[1]",
        '"a"',
        {"cpu": "many"},
        {"cpu": True},
        {"cpu": []},
        {"cpu": ""},
        {"mem": "lots"},
        {"cpu": "1E+999999999"},
        {"cpu": "1E-999999999"},
        "[" * 100000,
    ],
)
def test_what_is_not_slots_is_a_wire_error(value):
    with pytest.raises(WireError):
        ResourceSlots.from_wire(value)


def test_slots_in_a_model():
    info = structure(SessionInfo, {"occupying_slots": '{"cpu": "2", "mem": "1073741824"}'})
    assert info.occupying_slots == {"cpu": Decimal(2), "mem": ByteSize(G)}
    with pytest.raises(WireError, match=r"SessionInfo\.occupying_slots: .*amount of cpu"):
        structure(SessionInfo, {"occupying_slots": '{"cpu": "x"}'})


# --- the mapping ----------------------------------------------------------------------------------------


def test_slots_are_a_frozen_mapping():
    slots = ResourceSlots({"cpu": 4, "mem": "8g", "cuda.shares": "0.5"})
    assert (slots.cpu, slots.mem) == (Decimal(4), 8 * G)
    assert type(slots.cpu) is Decimal
    assert type(slots.mem) is ByteSize
    assert slots["cuda.shares"] == Decimal("0.5")
    assert dict(slots) == {"cpu": 4, "mem": 8 * G, "cuda.shares": Decimal("0.5")}
    assert len(slots) == 3
    assert repr(slots) == "ResourceSlots('cpu=4 mem=8g cuda.shares=0.5')"
    assert eval(repr(slots)) == slots
    for name in ("cpu", "_slots", "other"):
        with pytest.raises(AttributeError, match="cannot change"):
            setattr(slots, name, 1)
    with pytest.raises(AttributeError, match="cannot change"):
        del slots._slots
    with pytest.raises(TypeError):
        slots["cpu"] = 1
    with pytest.raises(KeyError):
        slots["x"]
    assert (ResourceSlots().cpu, ResourceSlots().mem) == (0, 0)


def test_equality_and_hash_do_not_know_the_order():
    one, two = ResourceSlots("cpu=1 mem=1g"), ResourceSlots("mem=1g cpu=1.0")
    assert one == two
    assert len({one, two, ResourceSlots("cpu=1")}) == 2
    assert one != ResourceSlots("cpu=2 mem=1g")


def test_hidden_amounts_are_equal_and_survive_pickling():
    slots = ResourceSlots.from_wire({"cpu": "NaN", "mem": "Infinity"})
    for other in (
        ResourceSlots.from_wire(slots.to_wire()),
        pickle.loads(pickle.dumps(slots)),
        copy.deepcopy(slots),
    ):
        assert other == slots
        assert hash(other) == hash(slots)


# --- shmem ----------------------------------------------------------------------------------------------


def test_shmem_is_moved_to_the_options():
    assert split_resources("cpu=1 mem=8g shmem=1g") == (ResourceSlots("cpu=1 mem=8g"), {"shmem": str(G)})
    assert split_resources({"shmem": "64"}) == (ResourceSlots(), {"shmem": str(64 * M)})
    assert split_resources("mem=8g", {"shmem": "64m", "other": 1}) == (
        ResourceSlots("mem=8g"),
        {"shmem": str(64 * M), "other": 1},
    )
    assert split_resources(None) == (ResourceSlots(), {})
    assert split_resources("cpu=1", {"shmem": None}) == (ResourceSlots("cpu=1"), {"shmem": None})


def test_the_callers_options_are_left_alone():
    options = {"shmem": "64m"}
    split_resources(None, options)
    assert options == {"shmem": "64m"}


@pytest.mark.parametrize(
    ("resources", "options", "argument", "message"),
    [
        ("mem=1g shmem=1g", None, "resources", "shmem .1g. is a part of mem .1g."),
        ("mem=1g", {"shmem": "2g"}, "resources", "shmem .2g. is a part of mem"),
        ("shmem=1g", {"shmem": "1g"}, "resource_opts", "give it once"),
        (None, {"shmem": "much"}, "resource_opts", "shmem: 'much' is not a size"),
        ("shmem=much", None, "resources", "shmem: 'much' is not a size"),
    ],
)
def test_shmem_mistakes(resources, options, argument, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        split_resources(resources, options)
    assert caught.value.argument == argument


# --- properties -----------------------------------------------------------------------------------------

counts = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6)
names = st.sampled_from(["cpu", "cuda.device", "cuda.shares", "rocm.device", "x.y", "cuda.device:H100"])
amounts = st.dictionaries(names, counts)
sizes = st.integers(0, 2**60)


@given(amounts, sizes)
def test_every_way_of_writing_is_the_same(slots, size):
    given_ = {**slots, "mem": size}
    as_mapping = ResourceSlots.parse(given_)
    texts = [f"{name}={amount:f}" for name, amount in slots.items()] + [f"mem={ByteSize(size)}"]
    assert ResourceSlots.parse(texts) == as_mapping
    assert ResourceSlots.parse(" ".join(texts)) == as_mapping
    assert ResourceSlots.parse(",".join(texts)) == as_mapping
    assert ResourceSlots.parse(str(as_mapping)) == as_mapping
    assert ResourceSlots.from_wire(json.dumps(as_mapping.to_wire())) == as_mapping
    assert ResourceSlots.from_wire(repr({k: str(v) for k, v in as_mapping.to_wire().items()})) == as_mapping


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.decimals()
values |= st.lists(st.integers(), max_size=1)


@given(values | st.dictionaries(st.text(max_size=6) | names, values) | st.lists(st.text(max_size=12)))
def test_anything_is_read_or_refused(value):
    try:
        slots = ResourceSlots.parse(value)
    except InvalidArgument:
        pass
    else:
        assert all(amount >= 0 for amount in slots.values())
        assert ResourceSlots.from_wire(slots.to_wire()) == slots
    try:
        slots = ResourceSlots.from_wire(value)
    except WireError:
        pass
    else:
        assert ResourceSlots.from_wire(slots.to_wire()) == slots


@given(st.text("0123456789.kmgGiB _-bytes", max_size=12))
def test_sizes_are_read_or_refused(text):
    with contextlib.suppress(InvalidArgument):
        assert ByteSize.parse(text) >= 0
