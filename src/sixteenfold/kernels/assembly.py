"""Functions written in LLVM's language for the CPU at hand, and compiled when first needed.

Only what the convolution in `winograd` needs: vectors of float32, addresses, loops.
"""

import ctypes
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm


@dataclass(frozen=True)
class Machine:
    """A CPU's vector unit, as far as code is cut to it."""

    lanes: int
    """float32 numbers in a vector register."""
    rows: int
    """Rows of a matrix product that are summed in registers at once, two vectors wide."""
    name: str
    """The CPU's name for the compiler, such as `icelake-server`."""
    features: str
    """Its instruction sets, as LLVM writes them."""


def this_machine() -> Machine | None:
    """Look at the CPU; None where it has no vectors with fused multiply-add."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features: Any = llvm.get_host_cpu_features()
    for needed, lanes, rows in ((("avx512f",), 16, 12), (("avx2", "fma"), 8, 6), (("neon",), 4, 12)):
        if all(features.get(name) for name in needed):
            return Machine(lanes, rows, llvm.get_host_cpu_name(), features.flatten())
    return None


class Code:
    """The text of one function that grows line by line. A value is known by its name.

    Args:
        machine: What the code is for.
        arguments: The function's arguments, name to kind (`ptr` or `i64`); in the text, `%name`.
    """

    def __init__(self, machine: Machine, arguments: dict[str, str]) -> None:
        self.machine = machine
        self.arguments = arguments
        self.vector = f"<{machine.lanes} x float>"
        self._variables: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def text(self, name: str) -> str:
        """The whole module with this one function."""
        arguments = ", ".join(f"{kind} %{word}" for word, kind in self.arguments.items())
        v = self.vector
        fma = f"declare {v} @llvm.fma.v{self.machine.lanes}f32({v}, {v}, {v})"
        return "\n".join([fma, f"define void @{name}({arguments}) {{", *self._variables, *self._lines, "ret void", "}"])

    def value(self, text: str) -> str:
        """A new value, computed by one instruction."""
        name = self._name()
        self._lines.append(f"{name} = {text}")
        return name

    def variable(self, kind: str, start: str) -> str:
        """A place for a value that changes (`load`, `store`); the compiler makes it a register."""
        name = self._name()
        self._variables.append(f"{name} = alloca {kind}")
        self.store(start, name, kind)
        return name

    def add(self, *terms: str | int) -> str:
        """The sum of integers."""
        total = str(terms[0])
        for term in terms[1:]:
            total = self.value(f"add i64 {total}, {term}")
        return total

    def times(self, x: str | int, y: str | int) -> str:
        """The product of two integers."""
        return self.value(f"mul i64 {x}, {y}")

    def at(self, pointer: str, offset: str | int) -> str:
        """The address so many floats on."""
        return self.value(f"getelementptr float, ptr {pointer}, i64 {offset}")

    def plane(self, table: str, index: str) -> str:
        """An address out of a table of addresses."""
        return self.value(f"load ptr, ptr {self.value(f'getelementptr ptr, ptr {table}, i64 {index}')}")

    def load(self, pointer: str, kind: str | None = None) -> str:
        """What lies at an address: a vector, if nothing else is said."""
        return self.value(f"load {kind or self.vector}, ptr {pointer}, align 4")

    def store(self, x: str, pointer: str, kind: str | None = None) -> None:
        """Write to an address."""
        self._lines.append(f"store {kind or self.vector} {x}, ptr {pointer}, align 4")

    def constant(self, x: float) -> str:
        """A vector of one number. (LLVM wants a float's digits as those of the equal double.)"""
        digits = bytes(ctypes.c_double(ctypes.c_float(x).value))[::-1].hex()
        return "<" + ", ".join([f"float 0x{digits}"] * self.machine.lanes) + ">"

    def repeated(self, pointer: str) -> str:
        """A vector of the one number at an address."""
        number = self.load(pointer, "float")
        first = self.value(f"insertelement {self.vector} poison, float {number}, i32 0")
        lane_0 = f"<{self.machine.lanes} x i32> zeroinitializer"
        return self.value(f"shufflevector {self.vector} {first}, {self.vector} poison, {lane_0}")

    def plus(self, x: str, y: str) -> str:
        """x + y, vectors."""
        return self.value(f"fadd {self.vector} {x}, {y}")

    def minus(self, x: str, y: str) -> str:
        """x - y, vectors."""
        return self.value(f"fsub {self.vector} {x}, {y}")

    def scaled(self, x: float, y: str) -> str:
        """x * y, a number and a vector."""
        return y if x == 1.0 else self.value(f"fmul {self.vector} {self.constant(x)}, {y}")

    def larger(self, x: str, y: str) -> str:
        """The larger of each two, vectors; y where one is not a number."""
        more = self.value(f"fcmp ogt {self.vector} {x}, {y}")
        return self.value(f"select <{self.machine.lanes} x i1> {more}, {self.vector} {x}, {self.vector} {y}")

    def fma(self, x: str | float, y: str, z: str) -> str:
        """x * y + z, vectors; x may be a number."""
        factor = self.constant(x) if isinstance(x, float) else x
        v = self.vector
        return self.value(f"call {v} @llvm.fma.v{self.machine.lanes}f32({v} {factor}, {v} {y}, {v} {z})")

    @contextmanager
    def loop(self, start: str | int, stop: str | int, step: int) -> Generator[str]:
        """Run the lines made inside for start, start + step, ... below stop. Gives the index."""
        index = self.variable("i64", str(start))
        label = f"loop{self._name()[2:]}"
        self._lines += [f"br label %{label}", f"{label}:"]
        now = self.load(index, "i64")
        more = self.value(f"icmp slt i64 {now}, {stop}")
        self._lines += [f"br i1 {more}, label %{label}.in, label %{label}.out", f"{label}.in:"]
        yield now
        self.store(self.add(now, step), index, "i64")
        self._lines += [f"br label %{label}", f"{label}.out:"]

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"


class Compiled:
    """A function in machine code. A call releases Python's lock: threads run it side by side.

    Args:
        code: The function.
    """

    def __init__(self, code: Code) -> None:
        machine = code.machine
        target = llvm.Target.from_default_triple().create_target_machine(
            cpu=machine.name, features=machine.features, opt=3
        )
        module = llvm.parse_assembly(code.text("function"))
        tuning = llvm.create_pipeline_tuning_options(speed_level=2)
        # The loops are written to fill the registers; unrolled once more they would spill them into memory.
        tuning.loop_unrolling = False
        passes = llvm.create_pass_builder(target, tuning)
        passes.getModulePassManager().run(module, passes)
        # The machine code lives as long as the engine that made it.
        self._engine: Any = llvm.create_mcjit_compiler(module, target)
        self._engine.finalize_object()
        kinds = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
        prototype = ctypes.CFUNCTYPE(None, *(kinds[kind] for kind in code.arguments.values()))
        self._function = prototype(self._engine.get_function_address("function"))

    def __call__(self, arguments: Sequence[int]) -> None:
        """Run with the arguments in the order of the code's; addresses are integers."""
        self._function(*arguments)
