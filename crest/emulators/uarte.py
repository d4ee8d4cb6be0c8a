"""Nordic's UARTE: a UART whose data moves by EasyDMA (nRF52840 product specification, chapter UARTE)."""

from __future__ import annotations

from typing import Final

from crest.emulators.devices import AccessFaultError, Device, Host, Wire
from crest.targets import Peripheral

_TASKS_STARTRX: Final = 0x000
_TASKS_STOPRX: Final = 0x004
_TASKS_STARTTX: Final = 0x008
_TASKS_STOPTX: Final = 0x00C
_EVENTS_ENDRX: Final = 0x110
_EVENTS_ENDTX: Final = 0x120
_EVENTS_RXTO: Final = 0x144
_EVENTS_RXSTARTED: Final = 0x14C
_EVENTS_TXSTARTED: Final = 0x150
_EVENTS_TXSTOPPED: Final = 0x158
_INTEN: Final = 0x300
_INTENSET: Final = 0x304
_INTENCLR: Final = 0x308
_ENABLE: Final = 0x500
_RXD_PTR, _RXD_MAXCNT, _RXD_AMOUNT = 0x534, 0x538, 0x53C
_TXD_PTR, _TXD_MAXCNT, _TXD_AMOUNT = 0x544, 0x548, 0x54C

_EVENTS: Final = (
    _EVENTS_ENDRX, _EVENTS_ENDTX, _EVENTS_RXTO, _EVENTS_RXSTARTED, _EVENTS_TXSTARTED, _EVENTS_TXSTOPPED,
)  # fmt: skip
# PSEL.RTS TXD CTS RXD, BAUDRATE, CONFIG: they shape the wire, which is not modelled.
_STORED: Final = (0x508, 0x50C, 0x510, 0x514, 0x524, 0x56C, _ENABLE, _RXD_PTR, _RXD_MAXCNT, _TXD_PTR, _TXD_MAXCNT)
_READABLE: Final = frozenset((*_EVENTS, *_STORED, _INTEN, _INTENSET, _INTENCLR, _RXD_AMOUNT, _TXD_AMOUNT))
_WRITABLE: Final = frozenset((*_EVENTS, *_STORED))

_ENABLED: Final = 8
_COUNT_MASK: Final = 0xFFFF


class NordicUarte(Wire):
    """UARTE with an unlimited receive queue and a wire that takes no time.

    A firmware that polls ENDRX while its buffer waits for bytes that are not there stops the machine.
    """

    def __init__(self, name: str, host: Host) -> None:
        super().__init__()
        self._name = name
        self._host = host
        self._registers = dict.fromkeys(_READABLE, 0)
        self._tasks = {
            _TASKS_STARTRX: self._start_rx,
            _TASKS_STOPRX: self._stop_rx,
            _TASKS_STARTTX: self._start_tx,
            _TASKS_STOPTX: self._stop_tx,
        }
        self._receiving = False
        self._address = self._missing = 0

    def wakes(self) -> bool:
        """Whether an enabled event is set."""
        self._fill()
        return any(self._registers[event] and self._interrupts(event) for event in _EVENTS)

    def can_wake(self) -> bool:
        """Whether a full receive buffer would wake a core asleep."""
        return self._receiving and self._interrupts(_EVENTS_ENDRX)

    def read(self, offset: int, size: int) -> int:
        """Value of a register; polling ENDRX moves queued bytes first."""
        self._check(offset, size, _READABLE, "read")
        if offset == _EVENTS_ENDRX:
            self._fill()
            if self._receiving:
                self._host.stop()
        return self._registers[_INTEN if offset in (_INTENSET, _INTENCLR) else offset]

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a register or trigger a task."""
        if offset in self._tasks and size == 4:
            if value & 1:
                if self._registers[_ENABLE] != _ENABLED:
                    raise AccessFaultError(f"{self._name}: task {offset:#05x} while ENABLE is not 8 (UARTE)")
                self._tasks[offset]()
        elif offset in (_INTEN, _INTENSET, _INTENCLR) and size == 4:
            before = self._registers[_INTEN]
            self._registers[_INTEN] = {_INTEN: value, _INTENSET: before | value, _INTENCLR: before & ~value}[offset]
        else:
            self._check(offset, size, _WRITABLE, "write")
            self._registers[offset] = value

    def _check(self, offset: int, size: int, known: frozenset[int], verb: str) -> None:
        if size != 4 or offset not in known:
            raise AccessFaultError(
                f"{self._name}: {verb} of {size} bytes at offset {offset:#05x} is beyond the model nrf-uarte",
                hint="registers are accessed as words; shortcuts, flow control and error registers are not modelled",
            )

    def _interrupts(self, event: int) -> bool:
        return bool(self._registers[_INTEN] >> (event - 0x100) // 4 & 1)

    def _start_rx(self) -> None:
        self._receiving = True
        self._address = self._registers[_RXD_PTR]
        self._missing = self._registers[_RXD_MAXCNT] & _COUNT_MASK
        self._registers[_RXD_AMOUNT] = 0
        self._registers[_EVENTS_RXSTARTED] = 1
        self._host.read_ram(self._address, self._missing)  # faults now, not when bytes come
        self._fill()

    def _stop_rx(self) -> None:
        self._fill()
        if self._receiving:
            self._end_rx()
        self._registers[_EVENTS_RXTO] = 1

    def _fill(self) -> None:
        """Move queued bytes into the buffer of the firmware."""
        if not self._receiving:
            return
        data = bytes(self._queue[: self._missing])
        del self._queue[: len(data)]
        self._host.write_ram(self._address, data)
        self._address += len(data)
        self._missing -= len(data)
        self._registers[_RXD_AMOUNT] += len(data)
        if self._missing == 0:
            self._end_rx()

    def _end_rx(self) -> None:
        self._receiving = False
        self._registers[_EVENTS_ENDRX] = 1

    def _start_tx(self) -> None:
        size = self._registers[_TXD_MAXCNT] & _COUNT_MASK
        self._sent += self._host.read_ram(self._registers[_TXD_PTR], size)
        self._registers[_TXD_AMOUNT] = size
        self._registers[_EVENTS_TXSTARTED] = self._registers[_EVENTS_ENDTX] = 1
        if size:
            self._host.stop()

    def _stop_tx(self) -> None:
        self._registers[_EVENTS_TXSTOPPED] = 1


def nordic_uarte(name: str, _peripheral: Peripheral, host: Host) -> Device:
    """Model ``nrf-uarte``."""
    return NordicUarte(name, host)
