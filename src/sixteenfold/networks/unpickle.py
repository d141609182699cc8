"""Read torch's pickles as data: nothing that they name is imported, nothing that they request is called.

A pickle is a program for a small stack machine. `Machine` carries out the part of it that builds
containers, and knows by name the few functions of torch that put tensors together; it never looks a
name up. An object of any other class becomes a `Record`: the class's name and the state the file gives
it. A call of anything else is refused. `pickletools` splits the program into its steps; it executes none.
"""

import pickletools
from collections.abc import Sized
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar, cast

import torch

from sixteenfold.networks.records import Global, Record, RefusedError, Storage, StoredTensor, UnfitError, shown

_T = TypeVar("_T")

STORAGE_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# Classes and functions that ordinary checkpoints call for things that are not tensors. They are
# not called either: what they would give becomes a Record.
INERT_CALLS = frozenset(
    {
        "builtins.set",
        "builtins.frozenset",
        "_codecs.encode",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "torch.device",
    }
)
DICTIONARIES = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter"})

# The steps of a pickle, by how they are carried out. Those that are in no group are refused: the text
# steps of protocol 0, INST and OBJ (calls), the extension registry, and what torch never writes.
IGNORED = frozenset({"PROTO", "FRAME"})
INTEGERS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "LONG4"})
TEXTS = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"})
LITERALS = INTEGERS | TEXTS | {"BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

MOST_DIMENSIONS = 8


@dataclass
class Machine:
    """Carries out one pickle after another.

    Raises (from `run`):
        RefusedError: For a step or a call that is not admitted.
        ValueError, LookupError: For a pickle that makes no sense, or (UnfitError) is of no weights.
    """

    stack: list[object] = field(default_factory=list[object])
    marks: list[int] = field(default_factory=list[int])
    memo: dict[int, object] = field(default_factory=dict[int, object])
    storages: dict[str, Storage] = field(default_factory=dict[str, Storage])
    """Every storage that was named so far."""
    position: int = 0
    """How far the program is read, in bytes."""
    given: int = 0
    """Elements that calls were given so far."""

    def run(self, program: bytes | IO[bytes]) -> object:
        """The object that a pickle describes; of a stream, read to the end of that pickle exactly."""
        self.stack, self.marks, self.memo, self.given = [], [], {}, 0
        for step, argument, position in pickletools.genops(program):
            name, self.position = step.name, position or 0
            if name == "STOP":
                break
            if name not in IGNORED and not (self._push(name, argument) or self._collect(name) or self._make(name)):
                raise RefusedError(f"uses the pickle step {name}")
        (result,) = self.stack
        return result

    def _push(self, name: str, argument: Any) -> bool:
        """Steps that put something on the stack or into the memo."""
        if name in LITERALS:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name == "GLOBAL":
            self.stack.append(Global(argument.replace(" ", ".", 1)))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        else:
            return False
        return True

    def _collect(self, name: str) -> bool:
        """Steps that make and fill containers. A set is kept as a list, for nothing here is hashed but plain keys."""
        if name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "EMPTY_DICT":
            self.stack.append({})
        elif name in ("EMPTY_LIST", "EMPTY_SET"):
            self.stack.append([])
        elif name in TUPLES:
            self.stack.append(self._pop(TUPLES[name]))
        elif name in ("TUPLE", "FROZENSET"):
            self.stack.append(self._pop_marked())
        elif name == "APPEND":
            items = self._pop(1)
            _extend(self.stack[-1], items)
        elif name in ("APPENDS", "ADDITEMS"):
            items = self._pop_marked()
            _extend(self.stack[-1], items)
        elif name == "SETITEM":
            items = self._pop(2)
            _set_items(self.stack[-1], items)
        elif name == "SETITEMS":
            items = self._pop_marked()
            _set_items(self.stack[-1], items)
        else:
            return False
        return True

    def _make(self, name: str) -> bool:
        """Steps that create objects."""
        if name == "STACK_GLOBAL":
            module, qualified = self._pop(2)
            self.stack.append(Global(f"{_checked(module, str)}.{_checked(qualified, str)}"))
        elif name == "NEWOBJ":
            cls, _ = self._pop(2)
            self.stack.append(Record(_checked(cls, Global).name))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            self._count(_tuple(arguments))
            self.stack.append(_call(_checked(function, Global).name, _tuple(arguments)))
        elif name == "BUILD":
            (state,) = self._pop(1)
            target = self.stack[-1]
            if isinstance(target, Record):
                target.state = state
            elif not isinstance(target, dict | StoredTensor):  # whose attributes are of no use to us
                raise RefusedError(f"changes the attributes of {shown(target)}")
        elif name == "BINPERSID":
            (identity,) = self._pop(1)
            self.stack.append(self._outside(_tuple(identity)))
        else:
            return False
        return True

    def _count(self, arguments: tuple[object, ...]) -> None:
        """Refuse calls that together take more than the program has bytes: one long list can be given to any number."""
        self.given += len(arguments) + sum(
            len(cast(Sized, part)) for part in arguments if isinstance(part, list | tuple)
        )
        if self.given > self.position:
            raise ValueError("gives its calls more than it holds")

    def _pop(self, count: int) -> tuple[object, ...]:
        if len(self.stack) < count:
            raise ValueError("takes from an empty stack")
        taken = tuple(self.stack[-count:])
        del self.stack[-count:]
        return taken

    def _pop_marked(self) -> tuple[object, ...]:
        mark = self.marks.pop()
        taken = tuple(self.stack[mark:])
        del self.stack[mark:]
        return taken

    def _outside(self, identity: tuple[object, ...]) -> object:
        """What a persistent id means: a storage, or (legacy) a class along with its source text."""
        match identity:
            case ("module", Global() as cls, _, _):
                return cls
            case ("storage", Global(kind), str() as key, _, elements):
                view = None
            case ("storage", Global(kind), str() as key, _, elements, view):
                pass
            case _:
                raise ValueError("refers to something that is not a storage")
        package, _, name = kind.rpartition(".")
        if package not in ("torch", "torch.cuda") or name not in STORAGE_TYPES:
            # Newer types than a storage class was made for share one.
            what = "float8 or another type of PyTorch 2" if name == "UntypedStorage" else shown(kind)
            raise UnfitError(f"stores numbers as {what}, not as float16, bfloat16, float32 or float64")
        storage = Storage(key, STORAGE_TYPES[name], _natural(elements))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"describes storage {shown(key)} in two ways")
        if view is None:
            return storage
        _, start, length = _tuple(view)
        return Storage(key, storage.dtype, _natural(length), _natural(start))


def _call(function: str, arguments: tuple[object, ...]) -> object:
    """The result of a call that the file requests, computed here; the function itself is never called."""
    if function in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        storage, offset, size, stride, *_ = arguments
        return _tensor(_checked(storage, Storage), _natural(offset), _naturals(size), _naturals(stride))
    if function in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return _checked(arguments[0], StoredTensor)
    if function in DICTIONARIES:
        return _dictionary(function, arguments)
    if function == "torch.Size":
        return _naturals(arguments[0])
    if function.replace("__builtin__.", "builtins.") in INERT_CALLS:  # the name in Python 2
        return Record(function, arguments)
    raise RefusedError(f"tries to call {shown(function)}")


def _tensor(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> StoredTensor:
    tensor = StoredTensor(storage, offset, size, stride)
    if len(size) != len(stride):
        raise ValueError("has a tensor whose sizes and strides do not belong together")
    if tensor.elements > storage.elements:
        raise ValueError("has a tensor larger than its storage")
    if tensor.elements and offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) >= storage.elements:
        raise ValueError("has a tensor that reaches beyond its storage")
    return tensor


def _dictionary(function: str, arguments: tuple[object, ...]) -> dict[object, object]:
    """Dictionaries keep their order anyway; older pickles give the pairs with the call."""
    result: dict[object, object] = {}
    if function == "collections.OrderedDict" and arguments:
        for pair in cast(list[object], _checked(arguments[0], list)):
            key, value = cast(list[object], pair) if isinstance(pair, list) else _tuple(pair)
            _set_items(result, (key, value))
    return result


def _set_items(target: object, items: tuple[object, ...]) -> None:
    """Keys and values in turn. What a Record of a dictionary-like class holds is of no use to us."""
    if isinstance(target, Record):
        return
    mapping = cast(dict[object, object], _checked(target, dict))
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int | float | bytes | None):
            raise UnfitError("has a dictionary with keys that are neither text nor numbers")
        mapping[key] = value


def _extend(target: object, items: tuple[object, ...]) -> None:
    if not isinstance(target, Record):
        cast(list[object], _checked(target, list)).extend(items)


def _checked(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise ValueError(f"has {shown(value)} where {kind.__name__} belongs")
    return value


def _tuple(value: object) -> tuple[object, ...]:
    return cast(tuple[object, ...], _checked(value, tuple))


def _natural(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"has {shown(value)} where a size belongs")
    return value


def _naturals(value: object) -> tuple[int, ...]:
    """A tensor's sizes or strides."""
    sizes = _tuple(value)
    if len(sizes) > MOST_DIMENSIONS:
        raise ValueError(f"has a tensor of more than {MOST_DIMENSIONS} dimensions")
    return tuple(map(_natural, sizes))
