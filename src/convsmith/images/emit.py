"""Writing machine code: loops, vectors and conversions over LLVM's builder, and compiling it.

Everything here is plain: no instruction is chosen by LLVM's own vectoriser, so that each number is
computed by the same operations in the same order wherever it stands in a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from convsmith.images.program import INFINITY, LIMITS, SIZES

INT64 = ir.IntType(64)
INT32 = ir.IntType(32)
POINTER = ir.PointerType()

KINDS: dict[str, tuple[Any, str]] = {
    "bool": (ir.IntType(8), "u"),
    "uint8": (ir.IntType(8), "u"),
    "int8": (ir.IntType(8), "i"),
    "uint16": (ir.IntType(16), "u"),
    "int16": (ir.IntType(16), "i"),
    "uint32": (ir.IntType(32), "u"),
    "int32": (ir.IntType(32), "i"),
    "int64": (ir.IntType(64), "i"),
    "float16": (ir.HalfType(), "f"),
    "float32": (ir.FloatType(), "f"),
    "float64": (ir.DoubleType(), "f"),
}
"""For each dtype: what it is in registers, and whether unsigned, signed or floating."""


def number(value: int) -> Any:
    """Return a constant index."""
    return ir.Constant(INT64, value)


class Loop:
    """The inside of a loop: where it is, and the values that go around."""

    def __init__(self, index: Any, step: Any, values: list[Any]) -> None:
        self.index = index
        self.step = step
        """How far the next round is."""
        self.values = values
        """What the next round, or the end, is given."""


@dataclass(frozen=True)
class Mask:
    """The first lanes of a vector."""

    lanes: Any
    count: Any
    """How many they are, all at most."""


class Emitter:
    """One function of a module, written from its first line to its last."""

    def __init__(self, module: Any, name: str, parameters: str, lanes: int) -> None:
        """Begin a function; each letter of `parameters` is a pointer ``p`` or an index ``i``."""
        kinds = [POINTER if letter == "p" else INT64 for letter in parameters]
        self.module = module
        self.lanes = lanes
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any, carried: Sequence[Any] = ()) -> Iterator[Loop]:
        """Repeat what is written inside while the index is below `stop`.

        After it, `index` is the first one that wasn't below, and `values` are the last ones.
        """
        b = self.builder
        before = b.block
        head, body, end = (self.function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(INT64)
        index.add_incoming(start, before)
        around = [b.phi(value.type) for value in carried]
        for phi, value in zip(around, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, stop), body, end)
        b.position_at_end(body)
        inside = Loop(index, step, list(around))
        yield inside
        index.add_incoming(b.add(index, inside.step), b.block)
        for phi, value in zip(around, inside.values, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(end)
        inside.values = list(around)

    def address(self, pointer: Any, index: Any, dtype: str) -> Any:
        """Return where an entry of an array lies."""
        return self.builder.gep(pointer, [index], source_etype=KINDS[dtype][0])

    def smaller(self, a: Any, b: Any) -> Any:
        """Return the smaller of two indices."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def larger(self, a: Any, b: Any) -> Any:
        """Return the larger of two indices."""
        return self.builder.select(self.builder.icmp_signed(">", a, b), a, b)

    # Vectors

    def vector(self, dtype: str) -> Any:
        """Return the type of a vector of entries."""
        return ir.VectorType(KINDS[dtype][0], self.lanes)

    def constant(self, value: float, dtype: str) -> Any:
        """Return a vector of one number."""
        return ir.Constant(self.vector(dtype), [value] * self.lanes)

    def splat(self, scalar: Any) -> Any:
        """Return a vector of one number that is only known later."""
        kind = ir.VectorType(scalar.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
        return self.shuffled(first, nothing, [0] * self.lanes)

    def shuffled(self, a: Any, c: Any, order: Sequence[int]) -> Any:
        """Return entries of two vectors, which are numbered one after the other."""
        mask = ir.Constant(ir.VectorType(INT32, len(order)), list(order))
        return self.builder.shuffle_vector(a, c, mask)

    def first_lanes(self, count: Any) -> Mask:
        """Return the mask of the first lanes."""
        # Small numbers, so that their comparison takes few registers.
        small = ir.IntType(16)
        lanes = ir.Constant(ir.VectorType(small, self.lanes), list(range(self.lanes)))
        count = self.smaller(count, number(self.lanes))
        shown = self.splat(self.builder.trunc(count, small))
        return Mask(self.builder.icmp_signed("<", lanes, shown), count)

    def _in_pieces(self, count: Any, dtype: str, origin: Any, to: Any) -> None:
        """Write the copy of some entries, fewer than two vectors, by powers of two."""
        b, size = self.builder, SIZES[dtype]
        piece = 1 << (self.lanes.bit_length() - 1)
        while piece:
            with b.if_then(b.icmp_unsigned("!=", b.and_(count, number(piece)), number(0))):
                # The larger pieces lie before.
                start = b.and_(count, number(-2 * piece))
                kind = ir.VectorType(KINDS[dtype][0], piece)
                value = b.load(self.address(origin, start, dtype), align=size, typ=kind)
                b.store(value, self.address(to, start, dtype), align=size)
            piece //= 2

    def _slot(self, kind: Any) -> Any:
        with self.builder.goto_entry_block():
            slot = self.builder.alloca(kind)
            # Of no type, as all pointers here.
            return self.builder.inttoptr(self.builder.ptrtoint(slot, INT64), POINTER)

    def load(self, pointer: Any, dtype: str, mask: Mask | None = None) -> Any:
        """Return a vector from anywhere; lanes outside the mask aren't read and are zero."""
        kind, size = self.vector(dtype), SIZES[dtype]
        if mask is None:
            return self.builder.load(pointer, align=size, typ=kind)
        if not masks(size):
            slot = self._slot(kind)
            self.builder.store(ir.Constant(kind, None), slot)
            self._in_pieces(mask.count, dtype, pointer, slot)
            return self.builder.load(slot, typ=kind)
        call = self._intrinsic(
            f"llvm.masked.load.{self._suffix(dtype)}.p0",
            kind,
            [POINTER, INT32, mask.lanes.type, kind],
        )
        zero = ir.Constant(kind, None)
        return self.builder.call(call, [pointer, ir.Constant(INT32, size), mask.lanes, zero])

    def store(
        self, value: Any, pointer: Any, dtype: str, mask: Mask | None = None, past: bool = False
    ) -> None:
        """Write a vector anywhere; lanes outside the mask aren't written.

        `past` writes past the caches, which an image that they can't hold is better written by;
        the place must be a multiple of the vector's bytes.
        """
        size = SIZES[dtype]
        if mask is None:
            stored = self.builder.store(value, pointer, align=size * self.lanes if past else size)
            if past:
                stored.set_metadata("nontemporal", self.module.add_metadata([INT32(1)]))
            return
        if not masks(size):
            slot = self._slot(value.type)
            self.builder.store(value, slot)
            self._in_pieces(mask.count, dtype, slot, pointer)
            return
        call = self._intrinsic(
            f"llvm.masked.store.{self._suffix(dtype)}.p0",
            ir.VoidType(),
            [value.type, POINTER, INT32, mask.lanes.type],
        )
        self.builder.call(call, [value, pointer, ir.Constant(INT32, size), mask.lanes])

    def multiply_add(self, a: Any, b: Any, c: Any, dtype: str, fused: bool) -> Any:
        """Return ``a * b + c``, rounded once if fused and twice if not."""
        if KINDS[dtype][1] != "f":
            return self.builder.add(c, self.builder.mul(a, b))
        if not fused:
            return self.builder.fadd(c, self.builder.fmul(a, b))
        kind = self.vector(dtype)
        call = self._intrinsic(f"llvm.fma.{self._suffix(dtype)}", kind, [kind] * 3)
        return self.builder.call(call, [a, b, c])

    def unary(self, name: str, value: Any, dtype: str) -> Any:
        """Return a function of LLVM's of one vector, such as ``roundeven``."""
        kind = self.vector(dtype)
        call = self._intrinsic(f"llvm.{name}.{self._suffix(dtype)}", kind, [kind])
        return self.builder.call(call, [value])

    def extreme(self, a: Any, b: Any, kind: str, dtype: str) -> Any:
        """Return the larger or smaller entries (``"max"``, ``"min"``); NaN where either is."""
        vector, sort = self.vector(dtype), KINDS[dtype][1]
        word = f"{kind}imum" if sort == "f" else f"{'u' if sort == 'u' else 's'}{kind}"
        name = f"llvm.{word}.{self._suffix(dtype)}"
        return self.builder.call(self._intrinsic(name, vector, [vector] * 2), [a, b])

    def highest(self, value: Any, dtype: str) -> Any:
        """Return the largest entry of a vector of integers."""
        kind, word = self.vector(dtype), "umax" if KINDS[dtype][1] == "u" else "smax"
        name = f"llvm.vector.reduce.{word}.{self._suffix(dtype)}"
        return self.builder.call(self._intrinsic(name, kind.element, [kind]), [value])

    def to_order(self, value: Any, dtype: str, semiring: str) -> Any:
        """Return floats as integers of the same order, NaN beyond what the semiring looks for."""
        b, whole = self.builder, f"int{8 * SIZES[dtype]}"
        bits = b.bitcast(value, self.vector(whole))
        beyond = INFINITY[whole] + (INFINITY[whole] & -INFINITY[whole]) // 2
        sign = 1 << (8 * SIZES[dtype] - 1)
        beyond = beyond if semiring == "max" else beyond - sign
        nan = b.fcmp_unordered("uno", value, value)
        return self.from_order_bits(b.select(nan, self.constant(beyond, whole), bits), whole)

    def from_order(self, value: Any, dtype: str) -> Any:
        """Return floats again from integers of the same order."""
        whole = f"int{8 * SIZES[dtype]}"
        return self.builder.bitcast(self.from_order_bits(value, whole), self.vector(dtype))

    def from_order_bits(self, bits: Any, dtype: str) -> Any:
        """Return bits with all but the sign turned over where that is set: twice is nothing."""
        b, width = self.builder, 8 * SIZES[dtype]
        signs = b.ashr(bits, self.constant(width - 1, dtype))
        return b.xor(bits, b.and_(signs, self.constant((1 << (width - 1)) - 1, dtype)))

    def convert(
        self, value: Any, source: str, target: str, rounding: str = "even", bounded: bool = False
    ) -> Any:
        """Return a vector in another dtype; to integers rounded and saturated, NaN to zero.

        `bounded` says that what becomes an integer is a number below 2**31, which is faster.
        Integers are taken for numbers that the other ones have.
        """
        if source == target:
            return value
        kind, size, to_kind, to_size = (
            KINDS[source][1], SIZES[source], KINDS[target][1], SIZES[target],
        )  # fmt: skip
        vector, b = self.vector(target), self.builder
        if kind != "f" and to_kind != "f" and size < to_size:
            return b.sext(value, vector) if kind == "i" else b.zext(value, vector)
        if kind != "f" and to_kind != "f":
            return b.trunc(value, vector) if size > to_size else value
        if kind == "f" and to_kind == "f":
            return b.fptrunc(value, vector) if size > to_size else b.fpext(value, vector)
        if to_kind == "f":
            # Through 32 bits: processors convert those at once.
            if size < 4:
                wide = ir.VectorType(INT32, self.lanes)
                value = b.sext(value, wide) if kind == "i" else b.zext(value, wide)
                return b.sitofp(value, vector)
            return b.sitofp(value, vector) if kind == "i" else b.uitofp(value, vector)
        if rounding == "wrap":
            whole = ir.VectorType(INT64, self.lanes)
            return b.trunc(b.fptosi(value, whole), vector)
        if bounded:
            return self._nearby(value, target, rounding)
        if rounding == "truncate":
            value = self.unary("trunc", value, source)
        elif rounding == "up":
            value = self.unary("floor", b.fadd(value, self.constant(0.5, source)), source)
        else:
            value = self.unary("roundeven", value, source)
        low, high = (float(limit) for limit in LIMITS[target])
        # A comparison with NaN fails: NaN becomes the first choice.
        ordered = b.fcmp_ordered("ord", value, value)
        value = b.select(ordered, value, self.constant(0.0, source))
        low_vector, high_vector = self.constant(low, source), self.constant(high, source)
        value = b.select(b.fcmp_ordered(">", value, low_vector), value, low_vector)
        value = b.select(b.fcmp_ordered("<", value, high_vector), value, high_vector)
        whole = ir.VectorType(INT32 if target != "uint32" else INT64, self.lanes)
        value = b.fptosi(value, whole)
        return b.trunc(value, vector) if to_size < whole.element.width // 8 else value

    def halved(self, value: Any, source: str, target: str, shift: int, rounding: str) -> Any:
        """Return whole numbers divided by a power of two, rounded and saturated.

        The sum of what is added for rounding and the largest of them must not be too large.
        """
        b, signed = self.builder, KINDS[source][1] == "i"
        right = b.ashr if signed else b.lshr

        def every(number: int) -> Any:
            return self.constant(number, source)

        if shift:
            half = 1 << (shift - 1)
            if rounding == "even":
                odd = b.and_(right(value, every(shift)), every(1))
                value = b.add(value, b.add(odd, every(half - 1)))
            else:
                value = b.add(value, every(half))
            value = right(value, every(shift))
        limits = zip(("max", "min"), LIMITS[source], LIMITS[target], strict=True)
        for kind, own, wanted in limits:
            inside = own >= wanted if kind == "max" else own <= wanted
            if not inside:
                value = self.extreme(value, every(wanted), kind, source)
        return b.trunc(value, self.vector(target)) if SIZES[target] < SIZES[source] else value

    def _nearby(self, value: Any, target: str, rounding: str) -> Any:
        """Return numbers below 2**31 as integers of at most 16 bits, rounded and saturated."""
        b, wide = self.builder, ir.VectorType(INT32, self.lanes)
        if rounding == "even":
            suffix = {4: "f32", 8: "f64"}[SIZES[_named(value)]]
            name = f"llvm.lrint.v{self.lanes}i32.v{self.lanes}{suffix}"
            value = b.call(self._intrinsic(name, wide, [value.type]), [value])
        else:
            if rounding == "up":
                dtype = _named(value)
                value = self.unary("floor", b.fadd(value, self.constant(0.5, dtype)), dtype)
            value = b.fptosi(value, wide)
        for kind, limit in zip(("max", "min"), LIMITS[target], strict=True):
            name = f"llvm.s{kind}.v{self.lanes}i32"
            edge = ir.Constant(wide, [limit] * self.lanes)
            value = b.call(self._intrinsic(name, wide, [wide] * 2), [value, edge])
        return b.trunc(value, self.vector(target))

    def _suffix(self, dtype: str) -> str:
        element = KINDS[dtype][0]
        words = {"half": "f16", "float": "f32", "double": "f64"}
        return f"v{self.lanes}{words.get(str(element), str(element))}"

    def _intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)


def _named(value: Any) -> str:
    return {"float": "float32", "double": "float64"}[str(value.type.element)]


# Compiling


@cache
def machine() -> Any:
    """Return LLVM's description of this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2)


@cache
def supported() -> bool:
    """Whether this processor does all that is written here by itself.

    Processors of Intel's kind do from AVX2 on (2013); older ones would call functions for
    rounding, half precision and fused multiply-adds, which may not be there.
    """
    if not llvm.get_default_triple().startswith(("x86_64", "i")):
        return llvm.get_default_triple().startswith(("aarch64", "arm64"))
    features = llvm.get_host_cpu_features()
    return all(features.get(name) for name in ("avx2", "fma", "f16c"))


@cache
def processor() -> str:
    """Return all that decides which machine code this processor can run."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_default_triple()} {llvm.get_host_cpu_name()} {features}"


SOURCES = (
    "emit.py", "passes.py", "program.py", "machine_code.py", "butterflies.py", "transform_code.py",
    "tile_code.py", "pair_code.py", "running.py", "running_code.py",
)  # fmt: skip
"""The files that write machine code."""


@cache
def sources() -> str:
    """Return a digest of what writes machine code: LLVM and the files here."""
    digest = hashlib.sha256(repr(llvm.llvm_version_info).encode())
    for name in SOURCES:
        digest.update(resources.files("convsmith.images").joinpath(name).read_bytes())
    return digest.hexdigest()


@cache
def registers() -> int:
    """Return how many vectors this processor holds."""
    many = llvm.get_host_cpu_features().get("avx512bw") or not llvm.get_default_triple().startswith(
        ("x86_64", "i")
    )
    return 32 if many else 16


@cache
def masks(size: int) -> bool:
    """Whether this processor can leave out lanes of so many bytes; LLVM would branch for each."""
    features = llvm.get_host_cpu_features()
    return bool(features.get("avx512bw") or (features.get("avx2") and size >= 4))


@cache
def vector_bytes() -> int:
    """Return how many bytes one register of this processor holds."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512bw") else 32 if features.get("avx2") else 16


def optimised(module: Any) -> bytes:
    """Return the machine code of a module, as an object file."""
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    builder = llvm.create_pass_builder(machine(), llvm.create_pipeline_tuning_options(1))
    builder.getModulePassManager().run(parsed, builder)
    return machine().emit_object(parsed)


@cache
def _engine() -> Any:
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())


def loaded(code: bytes, name: str) -> int:
    """Return the address of a function of an object file; names are never used twice."""
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(name)
