"""All kernels behind one signature, generated from crest_nn.h: a call takes its arguments from words."""

from __future__ import annotations

from tests.kernels.declarations import Declarations

ARGUMENTS_MAX = 10


def table_header(declared: Declarations, pointer_bytes: int) -> str:
    """The header that runner.c includes; it makes the compiler check the layouts that the tests assume."""
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */", "#include <stddef.h>", "#include <stdint.h>", "",
        '#include "crest_nn.h"', "", f"#define ARGUMENTS_MAX {ARGUMENTS_MAX}", "typedef uintptr_t word;", "",
        "static inline float as_float(word bits) {", "  union { uint32_t bits; float value; } u = {(uint32_t)bits};",
        "  return u.value;", "}", "",
    ]  # fmt: skip
    for name in declared.structs:
        lines.append(_expect(f"sizeof({name})", declared.size(name, pointer_bytes)[0]))
        for field, offset in declared.offsets(name, pointer_bytes):
            lines.append(_expect(f"offsetof({name}, {field.name})", offset))
    for number, (name, parameters) in enumerate(declared.kernels.items()):
        assert len(parameters) <= ARGUMENTS_MAX, name
        arguments = ", ".join(_argument(c_type, i) for i, c_type in enumerate(parameters))
        lines.append(f"static void call_{number}(const word *a) {{ {name}({arguments}); }}")
    calls = ", ".join(f"call_{number}" for number in range(len(declared.kernels)))
    return "\n".join([*lines, f"static void (*const kernels[])(const word *) = {{{calls}}};", ""])


def _expect(expression: str, value: int) -> str:
    return f'_Static_assert({expression} == {value}, "{expression}");'


def _argument(c_type: str, position: int) -> str:
    if c_type == "float":
        return f"as_float(a[{position}])"
    return f"({'void *' if c_type == 'pointer' else c_type})a[{position}]"
