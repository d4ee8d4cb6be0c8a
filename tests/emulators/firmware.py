"""Small firmwares for the engine's tests: C or assembly, linked for a target."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from crest.assets import cache_dir
from crest.targets import Target, load_target

TARGET = load_target("nano33ble")
OPEN, CLOSE, OVERHEAD = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
M4 = ("thumb-freestanding-eabihf", "cortex_m4+vfp4d16sp")
M0PLUS = ("thumb-freestanding-eabi", "cortex_m0plus")

_LINK = """
MEMORY {{
  FLASH (rx) : ORIGIN = {flash:#x}, LENGTH = {flash_bytes:#x}
  RAM (rwx) : ORIGIN = {ram:#x}, LENGTH = {ram_bytes:#x}
}}
SECTIONS {{
  .vectors : {{ KEEP(*(.vectors)) }} > FLASH
  .text : {{ *(.text .text.*) *(.rodata .rodata.*) }} > FLASH
  .data : {{ data_start = .; *(.data .data.*) . = ALIGN(4); data_end = .; }} > RAM AT > FLASH
  data_load = LOADADDR(.data);
  .bss (NOLOAD) : {{ *(.bss .bss.* COMMON) }} > RAM
  /DISCARD/ : {{ *(.ARM.exidx*) }}
}}
"""

_PRELUDE = """
#include <stdint.h>
#define REG(address) (*(volatile uint32_t *)(address))
#define OPEN 0xFFFFFFFEu
#define CLOSE 0xFFFFFFFFu
#define OVERHEAD 0xFFFFFFFDu
extern uint32_t data_start, data_end, data_load;
int main(void);
void Reset_Handler(void);
__attribute__((noinline)) void crest_layer_mark(uint32_t id) { __asm__ volatile("" ::"r"(id) : "memory"); }
__attribute__((section(".vectors"), used)) const void *const vectors[2] = {(void *)STACK_TOP, (void *)Reset_Handler};
__attribute__((noinline)) void put(const void *data, uint32_t bytes) {
  REG(0x40002544) = (uint32_t)data; REG(0x40002548) = bytes; REG(0x40002120) = 0; REG(0x40002008) = 1;
  while (!REG(0x40002120)) {}
}
__attribute__((noinline)) void get(void *data, uint32_t bytes) {
  REG(0x40002534) = (uint32_t)data; REG(0x40002538) = bytes; REG(0x40002110) = 0; REG(0x40002000) = 1;
  while (!REG(0x40002110)) {}
  __asm__ volatile("" ::: "memory");
}
__attribute__((used)) void Reset_Handler(void) {
  uint32_t *from = &data_load;
  for (uint32_t *to = &data_start; to < &data_end;) *to++ = *from++;
  REG(0x40002500) = 8;
  main();
  static uint8_t end;
  for (;;) get(&end, 1);
}
"""

_ASM_PRELUDE = """
.syntax unified
.thumb
.section .vectors,"a"
.word {stack:#x}
.word Reset_Handler
.text
.macro MARK id
  ldr r0, =\\id
  bl crest_layer_mark
.endm
.thumb_func
.type crest_layer_mark,%function
.global crest_layer_mark
crest_layer_mark:
  bx lr
.thumb_func
.type wait_for_input,%function
wait_for_input:
  ldr r1, =0x40002500
  movs r0, #8
  str r0, [r1]
  ldr r1, =0x40002534
  ldr r0, =0x20000000
  str r0, [r1]
  movs r0, #1
  str r0, [r1, #4]
  ldr r1, =0x40002000
  str r0, [r1]
  ldr r1, =0x40002110
1: ldr r0, [r1]
  cmp r0, #0
  beq 1b
  bx lr
.ltorg
.thumb_func
.type Reset_Handler,%function
.global Reset_Handler
Reset_Handler:
"""
_ASM_END = """
  bl wait_for_input
  b .
.ltorg
"""


def c(body: str, *, flags: tuple[str, ...] = (), cpu: tuple[str, str] = M4, target: Target = TARGET) -> bytes:
    """ELF of a C program that defines main()."""
    source = f"#define STACK_TOP {target.ram.end:#x}\n{_PRELUDE}\n{body}"
    return _link(source, "c", ("-O2", *flags), cpu, target)


def asm(body: str, *, cpu: tuple[str, str] = M4, target: Target = TARGET, flags: tuple[str, ...] = ()) -> bytes:
    """ELF of an assembly program that starts at ``body`` and then waits for input; MARK <id> marks a layer."""
    return _link(_ASM_PRELUDE.format(stack=target.ram.end) + body + _ASM_END, "s", flags, cpu, target)


def _link(source: str, suffix: str, flags: tuple[str, ...], cpu: tuple[str, str], target: Target) -> bytes:
    origin = target.flash.base + target.reserved_flash_bytes
    script = _LINK.format(
        flash=origin,
        flash_bytes=target.flash.end - origin,
        ram=target.ram.base,
        ram_bytes=target.ram.size_bytes,
    )
    return _compile(source, script, suffix, flags, cpu)


@functools.cache
def _compile(source: str, script: str, suffix: str, flags: tuple[str, ...], cpu: tuple[str, str]) -> bytes:
    zig_cache = str(cache_dir("zig"))
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"a.{suffix}").write_text(source)
        (folder / "a.ld").write_text(script)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", cpu[0], f"-mcpu={cpu[1]}", "-nostdlib"]
        command += ["-fhosted", "-fomit-frame-pointer", "-fno-sanitize=all", "-fno-builtin", *flags]
        command += ["-Wl,-e,Reset_Handler", "-T", str(folder / "a.ld"), str(folder / f"a.{suffix}")]
        command += ["-o", str(folder / "a.elf")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (folder / "a.elf").read_bytes()
