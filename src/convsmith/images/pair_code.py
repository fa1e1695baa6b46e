"""The machine code that filters two tiles in all channels: it calls what loads, filters, stores."""

from __future__ import annotations

import hashlib
from typing import Any

from llvmlite import ir

from convsmith.images import emit
from convsmith.images.emit import INT64, POINTER, Emitter, number
from convsmith.images.tile_code import LOAD, STORE
from convsmith.images.transform_code import TRANSFORM

COMMON = (
    "load", "transform", "store", "load_fields", "store_fields", "spectrum", "turns_down",
    "turns_across", "channels", "tile_stride", "plane", "most",
)  # fmt: skip
"""What all pairs are told: addresses, entries, and the bits of what no magnitude may reach."""

PAIR = (
    "row", "rows", "to_row", "to_rows", "from_row", "wanted",
    "column_0", "columns_0", "to_column_0", "to_columns_0", "from_column_0",
    "column_1", "columns_1", "to_column_1", "to_columns_1", "from_column_1",
)  # fmt: skip
"""What a pair is told: what both tiles read and write of the rows, and each of the columns."""


def name_of(work: str) -> str:
    """Return the name of the machine code, which no other has."""
    text = repr((work, emit.processor(), emit.sources()))
    return "pair_" + hashlib.sha256(text.encode()).hexdigest()[:32]


class _Known:
    """An address that is known to be a function's, which pointers don't say any more."""

    def __init__(self, function_type: Any, pointer: Any) -> None:
        self.function_type = function_type
        self.type = pointer.type
        self.get_reference = pointer.get_reference


def written(work: str) -> Any:
    """Return the module with the function: ``(common, pair, tiles and memory, left)``.

    ``left`` has a number for each channel, which becomes 1 if its tiles are left as they are read:
    transforms would spread what isn't finite.
    """
    module = ir.Module(name_of(work))
    module.triple = emit.machine().triple
    e = Emitter(module, name_of(work), "pppp", 1)
    b, (common, pair, tiles, left) = e.builder, e.function.args
    told: dict[str, Any] = {}
    for fields, names in ((common, COMMON), (pair, PAIR)):
        for i, name in enumerate(names):
            told[name] = b.load(e.address(fields, number(i), "int64"), typ=INT64)
    largest = [b.alloca(INT64) for _ in range(2)]
    tile = [e.address(tiles, b.mul(told["plane"], number(i)), work) for i in range(3)]

    def call(name: str, parameters: str, *arguments: Any) -> None:
        kinds = [POINTER if letter == "p" else INT64 for letter in parameters]
        b.call(_Known(ir.FunctionType(ir.VoidType(), kinds), pointer(name)), arguments)

    def pointer(name: str) -> Any:
        return b.inttoptr(told[name], POINTER)

    with e.loop(number(0), told["channels"], number(1)) as loop:
        for i in range(2):
            call(
                "load", LOAD, pointer("load_fields"), tile[i], largest[i], told["row"],
                told["rows"], told[f"column_{i}"], told[f"columns_{i}"], loop.index,
            )  # fmt: skip
        found = e.larger(*(b.load(place, typ=INT64) for place in largest))
        with b.if_else(b.icmp_signed("<", found, told["most"])) as (usual, unusual):
            with usual:
                call(
                    "transform", TRANSFORM, tile[0], tile[2], pointer("spectrum"),
                    pointer("turns_down"), pointer("turns_across"), told["wanted"],
                )  # fmt: skip
                for i in range(2):
                    start = b.mul(told["from_row"], told["tile_stride"])
                    start = e.address(tile[i], b.add(start, told[f"from_column_{i}"]), work)
                    with b.if_then(b.icmp_signed(">", told[f"to_columns_{i}"], number(0))):
                        call(
                            "store", STORE, pointer("store_fields"), start, told["to_row"],
                            told["to_rows"], told[f"to_column_{i}"], told[f"to_columns_{i}"],
                            loop.index,
                        )  # fmt: skip
            with unusual:
                b.store(number(1), e.address(left, loop.index, "int64"))
    b.ret_void()
    return module
