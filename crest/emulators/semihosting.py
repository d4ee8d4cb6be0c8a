"""Semihosting as far as firmware without a debugger needs it: text and exit.

Source: Arm, Semihosting for AArch32 and AArch64.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import unicorn
from unicorn import arm_const

BREAKPOINT: Final = 0xBEAB  # BKPT 0xAB
_OPEN, _CLOSE, _WRITEC, _WRITE0, _WRITE, _ISTTY = 0x01, 0x02, 0x03, 0x04, 0x05, 0x09
_EXIT, _EXIT_EXTENDED = 0x18, 0x20
_APPLICATION_EXIT: Final = 0x20026
_TEXT_MAX_BYTES: Final = 1 << 16
_STDOUT_HANDLE: Final = 1
_FAILED: Final = 0xFFFFFFFF


class Semihosting:
    """Answers the calls of one machine; what is not known fails, as a debugger would have it."""

    def __init__(self) -> None:
        self._text = bytearray()

    def take(self) -> bytes:
        """Text since the last call."""
        text = bytes(self._text)
        self._text.clear()
        return text

    def call(self, uc: Any) -> int | None:
        """Answer a call and step over the breakpoint; returns the exit code where the firmware exits."""
        operation, argument = uc.reg_read(arm_const.UC_ARM_REG_R0), uc.reg_read(arm_const.UC_ARM_REG_R1)
        if operation == _EXIT:
            return 0 if argument == _APPLICATION_EXIT else 1
        try:
            if operation == _EXIT_EXTENDED:
                reason, code = struct.unpack("<II", uc.mem_read(argument, 8))
                return int(code) if reason == _APPLICATION_EXIT else 1
            answer = self._answer(uc, operation, argument)
        except unicorn.UcError:
            answer = _FAILED
        uc.reg_write(arm_const.UC_ARM_REG_R0, answer)
        uc.reg_write(arm_const.UC_ARM_REG_PC, (uc.reg_read(arm_const.UC_ARM_REG_PC) + 2) | 1)
        return None

    def _answer(self, uc: Any, operation: int, argument: int) -> int:
        if operation == _WRITEC:
            self._text += uc.mem_read(argument, 1)
        elif operation == _WRITE0:
            for at in range(argument, argument + _TEXT_MAX_BYTES):
                byte = bytes(uc.mem_read(at, 1))
                if byte == b"\0":
                    break
                self._text += byte
        elif operation == _WRITE:
            _, source, size = struct.unpack("<III", uc.mem_read(argument, 12))
            self._text += uc.mem_read(source, min(size, _TEXT_MAX_BYTES))
            return int(size - min(size, _TEXT_MAX_BYTES))  # bytes not written
        elif operation in (_OPEN, _ISTTY):
            return _STDOUT_HANDLE
        elif operation != _CLOSE:
            return _FAILED
        return 0
