"""Reading JSON into models: what is tolerated, what is refused, and how the refusals are worded."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Self

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire.structure import structure
from backendai_sdk.enums import OpenEnum
from backendai_sdk.errors import InvalidArgument, WireError
from backendai_sdk.models.markers import Decoded, Key


class Color(OpenEnum):
    RED = "red"


class Strict(Enum):
    ONE = 1
    TWO = "two"


@attrs.frozen
class Celsius:
    degrees: int

    @classmethod
    def from_wire(cls, value: object) -> Self:
        if not isinstance(value, int):
            raise InvalidArgument(f"{value!r} is no temperature")
        return cls(value)


@attrs.frozen(kw_only=True)
class Kernel:
    role: Annotated[str, Key("cluster_role")]
    idx: int = 0


@attrs.frozen(kw_only=True)
class Tree:
    name: str = ""
    children: tuple[Tree, ...] = ()


@attrs.frozen(kw_only=True)
class Everything:
    id: str
    nothing: None = None
    count: int = 0
    ratio: float = 0.0
    flag: bool = False
    exact: Decimal = Decimal(0)
    when: datetime | None = None
    color: Color = Color.RED
    strict: Strict | None = None
    mode: Literal["a", "b"] = "a"
    kernels: tuple[Kernel, ...] = ()
    main: Kernel | None = None
    by_name: Mapping[str, Kernel] = attrs.field(factory=dict)
    limits: dict[str, int | None] = attrs.field(factory=dict)
    pair: tuple[str, int] | None = None
    listed: list[int] = attrs.field(factory=list)
    words: Sequence[str | None] = ()
    raw: Any = None
    opts: Annotated[Mapping[str, Any] | None, Decoded()] = None
    ports: Annotated[tuple[Kernel, ...], Decoded()] = ()
    reports: tuple[Annotated[Mapping[str, Any] | None, Decoded()], ...] | None = None
    either: str | int | datetime | None = None
    heat: Celsius | None = None
    renamed: Annotated[str | None, Key("servicePorts", "service_ports")] = None
    tree: Tree | None = None
    loose: str | Any = None
    bare: tuple = ()  # type: ignore[type-arg]
    text: Annotated[str, Decoded()] = ""
    temperatures: tuple[Celsius, ...] = ()
    token: str | None = attrs.field(default=None, repr=False)
    extra: Mapping[str, Any] = attrs.field(factory=dict)


def read(**values: Any) -> Everything:
    return structure(Everything, {"id": "x", **values})


NOON = datetime(2024, 3, 27, 11, 42, 18, 123456, UTC)


@pytest.mark.parametrize(
    ("name", "given_", "expected"),
    [
        ("count", 5, 5),
        ("count", 4e9, 4_000_000_000),
        ("count", Decimal("4.0"), 4),
        ("count", "12", 12),
        ("ratio", 1, 1.0),
        ("ratio", "0.5", 0.5),
        ("flag", True, True),
        ("exact", 0.1, Decimal("0.1")),
        ("exact", "1.000000", Decimal(1)),
        ("exact", "Infinity", Decimal("Infinity")),
        ("when", "2024-03-27T11:42:18.123456+00:00", NOON),
        ("when", "2024-03-27 11:42:18.123456+00:00", NOON),
        ("when", "2024-03-27T11:42:18.123456Z", NOON),
        ("when", "2024-03-27T20:42:18.123456+09:00", NOON),
        ("when", "2024-03-27T11:42:18.123456", NOON),
        ("when", None, None),
        ("color", "red", Color.RED),
        ("color", "mauve", "mauve"),
        ("color", None, Color.RED),
        ("strict", 1, Strict.ONE),
        ("kernels", [{"cluster_role": "main"}], (Kernel(role="main"),)),
        ("kernels", None, ()),
        ("main", {"cluster_role": "sub", "idx": 2, "new": 1}, Kernel(role="sub", idx=2)),
        ("main", None, None),
        ("by_name", {"a": {"cluster_role": "main"}}, {"a": Kernel(role="main")}),
        ("limits", {"a": None, "b": 1.0}, {"a": None, "b": 1}),
        ("pair", ["a", 1], ("a", 1)),
        ("listed", [1, 2.0], [1, 2]),
        ("words", ["a", None], ("a", None)),
        ("raw", {"a": [1]}, {"a": [1]}),
        ("opts", '{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("opts", {"a": 1}, {"a": 1}),
        ("opts", "null", None),
        ("opts", "", None),
        ("opts", None, None),
        ("ports", '[{"cluster_role": "main"}]', (Kernel(role="main"),)),
        ("ports", "null", ()),
        ("reports", [None, '{"a": 1}'], (None, {"a": 1})),
        ("either", 5, 5),
        ("either", "2024-03-27", "2024-03-27"),
        ("heat", 20, Celsius(20)),
        ("mode", "c", "c"),
        ("when", NOON, NOON),
        ("opts", "{}", {}),
        ("loose", 5, 5),
        ("loose", [5], [5]),
        ("bare", [5], (5,)),
        ("text", '"a"', "a"),
        ("id", 17, "17"),
    ],
)
def test_what_is_read(name, given_, expected):
    value = getattr(read(**{name: given_}), name)
    assert value == expected
    assert type(value) is type(expected) or isinstance(value, OpenEnum)


def test_an_unknown_word_is_kept():
    color = read(color="mauve").color
    assert isinstance(color, Color)
    assert not color.is_known


def test_unknown_keys_go_to_extra_or_nowhere():
    assert read(new=1, other=None).extra == {"new": 1, "other": None}
    assert read(extra={"a": 1}).extra == {"extra": {"a": 1}}
    assert read().extra == {}
    assert structure(Kernel, {"cluster_role": "main", "new": 1}) == Kernel(role="main")


def test_names_on_the_wire():
    assert read(servicePorts="a", service_ports="b").renamed == "a"
    assert read(servicePorts=None, service_ports="b").renamed == "b"
    assert read(service_ports="b").renamed == "b"
    assert read(service_ports=None).renamed is None
    assert read(service_ports="b", servicePorts="a").extra == {}
    assert read(renamed="c").renamed is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": None}, "Everything.id: null, which it cannot be"),
        ({"id": [1]}, r"Everything.id: expected a string, got \[1\]"),
        ({"id": True}, "Everything.id: expected a string, got True"),
        ({"count": True}, "Everything.count: expected an integer, got True"),
        ({"count": 1.5}, r"Everything.count: expected an integer, got 1\.5"),
        ({"count": math.inf}, "Everything.count: expected an integer, got inf"),
        ({"count": "٣"}, "Everything.count: expected an integer"),
        ({"flag": 1}, "Everything.flag: expected true or false, got 1"),
        ({"exact": "x"}, "Everything.exact: expected a number, got 'x'"),
        ({"ratio": 10**400}, "Everything.ratio: expected a number"),
        ({"when": "soon"}, "Everything.when: expected an ISO 8601 time, got 'soon'"),
        ({"when": 5}, "Everything.when: expected an ISO 8601 time, got 5"),
        ({"color": 5}, "Everything.color: cannot read 5: 5 is not a valid Color"),
        ({"color": []}, r"Everything.color: cannot read \[\]"),
        ({"kernels": {}}, "Everything.kernels: expected an array, got {}"),
        ({"kernels": "ab"}, "Everything.kernels: expected an array, got 'ab'"),
        (
            {"kernels": [{"cluster_role": "a"}, {}]},
            r"Everything.kernels\[1\].role: the answer has no 'cluster_role'",
        ),
        ({"kernels": [None]}, r"Everything.kernels\[0\]: null, which it cannot be"),
        (
            {"by_name": {"a": {"cluster_role": 1, "idx": "x"}}},
            r"Everything.by_name\['a'\].idx: expected an integer",
        ),
        ({"pair": ["a"]}, r"Everything.pair: expected an array of 2, got \['a'\]"),
        ({"pair": ["a", "b"]}, r"Everything.pair\[1\]: expected an integer, got 'b'"),
        ({"opts": "{"}, "Everything.opts: cannot read '{' as JSON"),
        ({"opts": "[" * 100_000}, "Everything.opts: .*nested too deeply"),
        ({"opts": "[]"}, r"Everything.opts: expected an object, got \[\]"),
        ({"reports": ["{"]}, r"Everything.reports\[0\]: cannot read '{' as JSON"),
        ({"heat": "hot"}, "Everything.heat: cannot read 'hot': 'hot' is no temperature"),
        ({"either": []}, r"Everything.either: cannot read \[\]"),
        ({"temperatures": [1, "hot"]}, r"Everything.temperatures\[1\]: cannot read 'hot': 'hot' is no temp"),
        ({"exact": []}, r"Everything.exact: expected a number, got \[\]"),
        ({"count": [10**5000]}, "Everything.count: expected an integer, got this array"),
        ({"main": "null"}, "Everything.main: expected an object, got 'null'"),
        ({"bare": 5}, "Everything.bare: expected an array, got 5"),
        ({"nothing": 1}, "Everything.nothing: expected null, got 1"),
        ({"limits": {"a": "x"}}, r"Everything.limits\['a'\]: expected an integer, got 'x'"),
    ],
)
def test_refusals_name_the_path(values, message):
    with pytest.raises(WireError, match=f"^{message}"):
        read(**values)


def test_where_replaces_the_class_name():
    with pytest.raises(WireError, match=r"^items\[3\]\.role: the answer has no 'cluster_role'$"):
        structure(Kernel, {}, where="items[3]")


@pytest.mark.parametrize("data", [None, 5, "x", [1], True])
def test_only_objects_are_models(data):
    with pytest.raises(WireError, match=r"^Kernel: expected an object, got "):
        structure(Kernel, data)


def test_messages_stay_short():
    with pytest.raises(WireError) as caught:
        read(kernels="x" * 100_000)
    assert len(str(caught.value)) < 300


def test_a_field_kept_out_of_reprs_is_kept_out_of_errors():
    with pytest.raises(WireError) as caught:
        read(token=["hush"])
    assert "hush" not in str(caught.value)
    assert "Everything.token: cannot read this array" in str(caught.value)


def test_models_that_contain_themselves():
    tree = structure(Tree, {"children": [{"name": "a", "children": [{"name": "b"}]}]})
    assert tree.children[0].children[0].name == "b"
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"children": [deep]}
    with pytest.raises(WireError, match="nested too deeply"):
        structure(Tree, deep)


def test_validators_of_the_model_are_heard():
    @attrs.frozen
    class Positive:
        count: int = attrs.field(validator=attrs.validators.gt(0))

    with pytest.raises(WireError, match=r"^Positive: 'count' must be > 0"):
        structure(Positive, {"count": 0})


def test_a_model_that_cannot_be_read_is_a_mistake_of_its_author():
    @attrs.frozen
    class Wrong:
        step: timedelta

    @attrs.frozen
    class Missing:
        step: NowhereToBeFound  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"Wrong\.step: .*from_wire"):
        structure(Wrong, {})
    with pytest.raises(TypeError, match="TYPE_CHECKING"):
        structure(Missing, {})
    with pytest.raises(TypeError, match="attrs"):
        structure(int, {})


def test_private_and_computed_fields():
    @attrs.frozen
    class Model:
        _secret: int
        double: int = attrs.field(init=False)

        def __attrs_post_init__(self) -> None:
            object.__setattr__(self, "double", 2 * self._secret)

    assert structure(Model, {"_secret": 2, "double": 7}).double == 4


# --- properties -----------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
scalars |= st.sampled_from(["{}", "[]", "null", "[{}]", "red", "1", "NaN", "2024-01-01", "\ud800"])
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["cluster_role", "idx", "children"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
FIELDS = [a.name for a in attrs.fields(Everything)] + ["servicePorts", "service_ports"]


@given(anything | st.dictionaries(st.sampled_from(FIELDS), anything))
def test_nothing_but_wire_errors(data):
    for value in (data, {"id": "x", **data} if isinstance(data, dict) else data):
        with contextlib.suppress(WireError):
            structure(Everything, value)


@given(st.dictionaries(st.text(), anything))
def test_no_key_is_lost(data):
    known = {"id", *FIELDS} - {"renamed", "extra"}
    model = structure(Everything, {"id": "x"} | {k: v for k, v in data.items() if k not in known})
    assert model.extra.keys() == data.keys() - known


@given(st.datetimes(timezones=st.sampled_from([UTC])))
def test_times_survive(when):
    for text in (when.isoformat(), when.isoformat(" "), when.replace(tzinfo=None).isoformat() + "Z"):
        assert read(when=text).when == when


@given(anything)
def test_decoded_text_and_decoded_value_are_the_same(value):
    @attrs.frozen
    class Model:
        value: Annotated[Any, Decoded()] = None

    if not isinstance(value, str):
        text = json.dumps(value)
        assert repr(structure(Model, {"value": text})) == repr(structure(Model, {"value": json.loads(text)}))
