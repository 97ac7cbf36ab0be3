"""Amounts of a cluster's resources: CPUs, memory, accelerators (PROTOCOL §8.2).

Read tolerantly from what servers say (:meth:`ResourceSlots.from_wire`), and strictly from what people write
(:meth:`ResourceSlots.parse`): there, every mistake is an ``InvalidArgument`` that says what to write instead.
Amounts are exact: counts and shares are ``Decimal``, memory is a whole number of bytes.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Self

from backendai_sdk.errors import InvalidArgument, WireError
from backendai_sdk.models._html import value_table
from backendai_sdk.models.byte_size import LONGEST, ByteSize, finite, is_reasonable, number_text, parse_size

__all__ = ["ByteSize", "ResourceSlots", "ResourcesLike", "split_resources"]

ResourcesLike = Mapping[str, object] | Sequence[str] | str
"""What is taken for resources: ``{"cpu": 4, "mem": "8g"}``, ``["cpu=4", "mem=8g"]``, ``"cpu=4 mem=8g"``."""

# --- amounts --------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_COUNT_HELP = "write a number from 0 on, for example 2 or '0.5'"


def _parse_count(value: object, argument: str) -> Decimal:
    if not isinstance(value, str):
        return finite(value, argument, "an amount", _COUNT_HELP)
    text = number_text(value, argument, "amount", _COUNT_HELP)
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise InvalidArgument(f"{argument}: {value!r} is not an amount; {_COUNT_HELP}", argument=argument)
    return Decimal(text)


def _plain(number: Decimal) -> str:
    """Write it without exponent and without idle zeros."""
    if not number.is_finite():
        return str(number)  # as the servers write it: "Infinity", "NaN"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- names ----------------------------------------------------------------------------------------------

_NAME = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?::[\w.-]+)?", re.ASCII | re.IGNORECASE)
_KNOWN = (
    "cpu",
    "mem",
    "shmem",
    "cuda.device",
    "cuda.shares",
    "rocm.device",
    "tpu.device",
    "ipu.device",
    "atom.device",
)
# What people write for them, from the other clouds' words.
_MEANT = {
    name: slots
    for names, slots in (
        ("cpus core cores vcpu vcpus ncpu ncpus num_cpus cpu_count cpu.count", "cpu"),
        ("memory ram mem_gb mem_mb memory_gb memory_mb mem_size", "mem"),
        ("shm shm_size shmem_size shared_memory", "shmem"),
        ("gpu gpus gpu_count num_gpus cuda nvidia accelerator vgpu nvidia.com", "cuda.device or cuda.shares"),
        ("cuda.gpu cuda.gpus cuda.devices gpu.device cuda-device cuda_device", "cuda.device"),
        ("cuda.share fgpu gpu.shares cuda.fgpu cuda-shares cuda_shares", "cuda.shares"),
        ("rocm rocm.gpu rocm.devices", "rocm.device"),
        ("tpu tpus tpu.devices", "tpu.device"),
        ("ipu ipus ipu.devices", "ipu.device"),
        ("atom atom.devices", "atom.device"),
    )
    for name in names.split()
}


def _is_bytes(name: str) -> bool:
    """Whether a slot counts bytes: ``mem``, ``shmem``, and an accelerator's own memory (``cuda.mem``)."""
    return name == "shmem" or name.rpartition(".")[2] == "mem"


def _slot_name(name: object, argument: str) -> str:
    if not isinstance(name, str):
        raise InvalidArgument(
            f"{argument}: the slot name {name!r} is not a text; known are {', '.join(_KNOWN)}",
            argument=argument,
        )
    text = name.strip()
    lower = text.lower()
    if lower in _KNOWN:
        return lower
    advice = _MEANT.get(lower)
    if advice is None and "." not in text:
        advice = next(iter(difflib.get_close_matches(lower, _KNOWN, n=1, cutoff=0.7)), None)
    if advice is not None:
        raise InvalidArgument(f"{argument}: there is no slot {name!r}; write {advice}", argument=argument)
    if not _NAME.fullmatch(text) or len(text) > LONGEST:
        raise InvalidArgument(
            f"{argument}: {name!r} cannot be a slot's name; known are {', '.join(_KNOWN)}", argument=argument
        )
    # Others pass: which accelerators there are is the cluster's business, and it says so clearly.
    return text


# --- slots ----------------------------------------------------------------------------------------------

_INFINITY, _HIDDEN = Decimal("Infinity"), Decimal("NaN")
# `GET /session/{name}` answers the repr() of a Python dict (SEEN, 23.9.10 and 26.9.6).
_PYTHON_REPR = re.compile(r"'([^']+)': (?:Decimal\()?'?([^',(){}]+)'?\)?")
# One text holds several when a separator has `name=` after it; "mem=8 GiB" stays whole.
_BETWEEN = re.compile(r"(?:\s*,\s*|\s+)(?=[^\s,=]+\s*=)")


class ResourceSlots(Mapping[str, Decimal | ByteSize]):
    """Amounts by slot: a mapping that cannot change, in the order that was given.

    ``mem`` (and other slots of bytes) is a :class:`ByteSize`, everything else a ``Decimal``.  In answers, an
    amount without limit is ``Decimal("Infinity")``, and one that the server keeps to itself ``Decimal("NaN")``.

    Args:
        slots: what :meth:`parse` takes.
    """

    __slots__ = ("_hash", "_slots")
    _slots: dict[str, Decimal | ByteSize]
    _hash: int | None

    def __init__(self, slots: ResourcesLike = ()) -> None:
        object.__setattr__(self, "_slots", _parse_slots(slots, "resources"))
        object.__setattr__(self, "_hash", None)

    @classmethod
    def _of(cls, slots: dict[str, Decimal | ByteSize]) -> Self:
        self = cls.__new__(cls)
        object.__setattr__(self, "_slots", slots)
        object.__setattr__(self, "_hash", None)
        return self

    @classmethod
    def parse(cls, value: ResourcesLike, *, argument: str = "resources") -> Self:
        """Check and normalise resources as people write them.

        In a text, a bare number for a slot of bytes is in MiB, as in the official command line
        (``"mem=512"``); an ``int`` is in bytes.

        Args:
            value: a mapping; or ``"cpu=4"`` texts, in a sequence, or in one text with spaces or commas.
            argument: what errors call it.

        Raises:
            InvalidArgument: which slot, what was wrong with it, and what to write.
        """
        if isinstance(value, cls):
            return value
        return cls._of(_parse_slots(value, argument))

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a server's slots: a mapping of decimal texts, or such a one as JSON (PROTOCOL §8.2).

        Null amounts are left out.

        Raises:
            WireError: it is neither, or an amount is not a number.
        """
        if isinstance(value, str):
            value = _decode_slots(value)
        if not isinstance(value, Mapping):
            raise WireError(f"expected resource slots, got {type(value).__name__}")
        return cls._of(
            {str(name): _from_wire(str(name), amount) for name, amount in value.items() if amount is not None}
        )

    def to_wire(self) -> dict[str, str]:
        """Return the amounts as the servers read them: plain decimal texts, sizes in bytes."""
        return {
            name: f"{amount:d}" if isinstance(amount, ByteSize) else _plain(amount)
            for name, amount in self._slots.items()
        }

    @property
    def cpu(self) -> Decimal:
        """The CPU cores; 0 if there are none."""
        return Decimal(self._slots.get("cpu", 0))

    @property
    def mem(self) -> ByteSize | Decimal:
        """The memory in bytes; 0 if there is none. A ``Decimal`` only if infinite, hidden or fractional."""
        return self._slots.get("mem", ByteSize(0))

    def __getitem__(self, name: str) -> Decimal | ByteSize:
        return self._slots[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __hash__(self) -> int:
        # As with the equality of mappings, the order does not matter.
        if self._hash is None:
            object.__setattr__(self, "_hash", hash(frozenset(self._slots.items())))
        return self._hash or 0

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ResourceSlots cannot change; make a new one to set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ResourceSlots cannot change; make a new one without {name}")

    def __reduce__(self) -> tuple[object, tuple[dict[str, str]]]:
        return type(self).from_wire, (self.to_wire(),)

    def __str__(self) -> str:
        """What :meth:`parse` reads: ``"cpu=4 mem=8g"``."""
        return " ".join(
            f"{name}={amount if isinstance(amount, ByteSize) else _plain(amount)}"
            for name, amount in self._slots.items()
        )

    def __repr__(self) -> str:
        return f"ResourceSlots({str(self)!r})"

    def _repr_html_(self) -> str:
        shown = ((k, v if isinstance(v, ByteSize) else _plain(v)) for k, v in self._slots.items())
        return value_table("Resources", shown)


def _decode_slots(text: str) -> object:
    if not text:
        return {}
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        if text == "{}" or _PYTHON_REPR.search(text):
            return dict(_PYTHON_REPR.findall(text))
        raise WireError(f"expected resource slots as JSON, got {text[:80]!r}") from None


def _from_wire(name: str, amount: object) -> Decimal | ByteSize:
    number: Decimal | None = None
    if isinstance(amount, (int, float, str, Decimal)) and not isinstance(amount, bool):
        try:
            number = Decimal(amount if isinstance(amount, (int, Decimal)) else str(amount).strip())
        except (ArithmeticError, ValueError):
            number = _humane(name, amount)
    if number is None or (number.is_finite() and not is_reasonable(number)):
        shown = repr(str(amount)[:40]) if isinstance(amount, (str, float, Decimal)) else type(amount).__name__
        raise WireError(f"the amount of {name} is not a number: {shown}")
    if number.is_nan():
        return _HIDDEN  # one object, because no two NaN are equal
    if number.is_infinite():
        return _INFINITY if number > 0 else -_INFINITY
    if _is_bytes(name) and number == number.to_integral_value():
        return ByteSize(int(number))
    return number


def _humane(name: str, amount: object) -> Decimal | None:
    """Read "1g" in a slot of bytes: presets are kept as an administrator wrote them."""
    if not _is_bytes(name):
        return None
    try:
        return Decimal(parse_size(amount, name))
    except InvalidArgument:
        return None


def _parse_slots(value: ResourcesLike, argument: str) -> dict[str, Decimal | ByteSize]:
    if isinstance(value, ResourceSlots):
        return value._slots
    slots: dict[str, Decimal | ByteSize] = {}
    for name, amount in _pairs(value, argument):
        slot = _slot_name(name, argument)
        if slot in slots:
            raise InvalidArgument(f"{argument}: {slot} is given twice; give it once", argument=argument)
        try:
            if _is_bytes(slot):
                slots[slot] = ByteSize(parse_size(amount, slot, bare="m"))
            else:
                slots[slot] = _parse_count(amount, slot)
        except InvalidArgument as exc:
            raise InvalidArgument(f"{argument}: {exc}", argument=argument) from None
    return slots


def _pairs(value: object, argument: str) -> list[tuple[object, object]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, str):
        if not value.strip():
            raise InvalidArgument(f"{argument}: the text is empty; write 'cpu=4 mem=8g'", argument=argument)
        value = _BETWEEN.split(value.strip())
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)):
        raise InvalidArgument(
            f"{argument}: {value!r} is not resources; write {{'cpu': 4, 'mem': '8g'}} or 'cpu=4 mem=8g'",
            argument=argument,
        )
    pairs: list[tuple[object, object]] = []
    for item in value:
        if not isinstance(item, str):
            raise InvalidArgument(
                f"{argument}: {item!r} is not a text as 'cpu=4'; give a mapping or texts", argument=argument
            )
        name, equals, amount = item.partition("=")
        if not equals:
            raise InvalidArgument(
                f"{argument}: {item!r} has no '='; write a slot and its amount, as 'cpu=4'", argument=argument
            )
        pairs.append((name, amount))
    return pairs


def split_resources(
    resources: ResourcesLike | None, resource_opts: Mapping[str, object] | None = None
) -> tuple[ResourceSlots, dict[str, object]]:
    """Move ``shmem`` from *resources*, where people put it, to *resource_opts*, where servers want it.

    Args:
        resources: what :meth:`ResourceSlots.parse` takes.
        resource_opts: further options; its ``shmem``, if any, is checked and normalised as well.

    Returns:
        The slots without ``shmem``, and the options with ``shmem`` as a text in bytes.

    Raises:
        InvalidArgument: a slot is wrong, ``shmem`` is given twice, or it is not less than ``mem``, which it is
            a part of.
    """
    slots = ResourceSlots.parse(resources if resources is not None else {})
    options = dict(resource_opts or {})
    shmem = slots.get("shmem")
    if options.get("shmem") is not None:
        if shmem is not None:
            raise InvalidArgument(
                "resource_opts: shmem is given in resources, too; give it once", argument="resource_opts"
            )
        try:
            shmem = ByteSize(parse_size(options["shmem"], "shmem", bare="m"))
        except InvalidArgument as exc:
            raise InvalidArgument(f"resource_opts: {exc}", argument="resource_opts") from None
    if shmem is None:
        return slots, options
    mem = slots.get("mem")
    if mem is not None and shmem >= mem:
        raise InvalidArgument(
            f"resources: shmem ({shmem}) is a part of mem ({mem}) and has to be less; raise mem or lower shmem",
            argument="resources",
        )
    options["shmem"] = f"{shmem:d}" if isinstance(shmem, ByteSize) else _plain(shmem)
    return ResourceSlots._of({name: amount for name, amount in slots.items() if name != "shmem"}), options
