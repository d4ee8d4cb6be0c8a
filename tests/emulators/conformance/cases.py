"""The programs of the conformance suite: networks, faults and sleeps on every core."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from crest.compiler.build import build_program, lower_graph
from crest.compiler.importer import import_tflite
from crest.compiler.program import Program
from crest.compiler.toolchain import target_toolchain
from crest.targets import Target
from tests.emulators import firmware
from tests.kernels import averaging_layers, elementwise_layers, int16_layers, moving_layers, weighted_layers
from tests.kernels.machines import CORES, TARGETS
from tests.kernels.registry import GENERATORS, Draw
from tests.models_families import elementwise_model, float_model, moves_model
from tests.models_small import dense_model, residual_model

SEED = 1  # the programs are the same every time: engines are compared, not kernels
MODULES = (averaging_layers, elementwise_layers, int16_layers, moving_layers, weighted_layers)
MODELS: dict[str, Callable[[], bytes]] = {
    "dense": dense_model, "residual": residual_model, "elementwise": elementwise_model, "moves": moves_model,
    "float": float_model,
}  # fmt: skip
LAYERS = ("conv2d_s8", "depthwise_s8", "conv2d_s16", "max_pool_s8", "mean_f32", "softmax_s8", "split", "pad")
NETWORKS = (*MODELS, *LAYERS)

# The table names a handler for every fault, as firmware does; it is entered where an engine takes exceptions.
HANDLERS = """
  b 9f
.thumb_func
.type fault_handler,%function
fault_handler: b fault_handler
9:
  .section .vectors,"a"
  .word fault_handler, fault_handler, fault_handler, fault_handler, fault_handler
  .text
"""
FAULTS = {
    "unmapped read": "ldr r1, =0x30000000\n  ldr r2, [r1]",
    "unmapped write": "ldr r1, =0x20040000\n  strb r1, [r1]",
    "stack overflow": "ldr r1, =0x20000008\n  mov sp, r1\n  push {r0-r7}",
    "jump to nowhere": "ldr r1, =0x60000001\n  bx r1",
    "undefined instruction": "udf #1",
    "endless loop": "1: nop\n  nop\n  nop\n  b 1b",
    "spin": "b .",
    "undefined mark": "MARK 0x12345",
}
# An instruction of a larger core, and the cores that do not have it.
WRONG = {
    "Thumb-2": (".inst.w 0xf2400001", ("cortex-m0plus",)),
    "DSP": (".inst.w 0xfb213002", ("cortex-m0plus",)),
    "division": (".inst.w 0xfb90f0f1", ("cortex-m0plus",)),
    "double precision": (".inst.w 0xee300b00", ("cortex-m0plus", "cortex-m4")),
}
WOKEN = """
int main(void) {
  static uint8_t byte;
  __asm__ volatile("cpsid i");
  REG(0xE000E100) = 1u << 2;
  REG(0x40002304) = 1u << 4;
  for (;;) {
    REG(0x40002534) = (uint32_t)&byte; REG(0x40002538) = 1; REG(0x40002110) = 0; REG(0x40002000) = 1;
    __asm__ volatile("wfi" ::: "memory");
    REG(0x40002110) = 0;
    REG(0xE000E280) = 1u << 2;
    byte++;
    put(&byte, 1);
  }
}
"""
SLEEPS = ("woken by input", "sleeps again", "waits for ever")


@dataclass(frozen=True)
class Case:
    """A program on a core."""

    kind: str
    name: str
    core: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}-{self.core}".replace(" ", "_")

    @property
    def target(self) -> Target:
        return TARGETS[self.core]

    def program(self) -> Program:
        """A network as firmware that measures."""
        return build_network(self.name, self.core)

    def elf(self) -> bytes:
        """Anything else."""
        cpu = CPUS[self.core]
        if self.kind == "sleep":
            return firmware.c(WOKEN, cpu=cpu, target=self.target)
        body = WRONG[self.name][0] if self.kind == "wrong" else FAULTS[self.name]
        return firmware.asm(f"  MARK 0xFFFFFFFE\n  MARK 5\n  {body}\n{HANDLERS}", cpu=cpu, target=self.target)


CPUS = {
    "cortex-m0plus": firmware.M0PLUS,
    "cortex-m4": firmware.M4,
    "cortex-m7": ("thumb-freestanding-eabihf", "cortex_m7+fp_armv8d16"),
}
CASES = tuple(
    Case(kind, name, core)
    for kind, names in (("network", NETWORKS), ("fault", FAULTS), ("wrong", WRONG), ("sleep", SLEEPS))
    for name in names
    for core in CORES
    if kind != "wrong" or core in WRONG[name][1]
)


@functools.cache
def build_network(name: str, core: str) -> Program:
    """Firmware of one of ``NETWORKS``; built once for all engines."""
    model = MODELS[name]() if name in MODELS else GENERATORS[name].draw(Draw(name, 0, SEED))
    target = TARGETS[core]
    return build_program(lower_graph(import_tflite(model, name), target.core), target, target_toolchain("zig", target))
