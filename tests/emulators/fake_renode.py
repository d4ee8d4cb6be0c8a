"""A stand-in for Renode: its monitor over TCP as recorded from 1.16.1, over a CPU that is Unicorn.

Run as the program ``renode``. The environment variable FAKE_RENODE holds faults to show, as JSON: ``version`` (what it
says), ``at`` (part of a command), ``do`` (die, hang, garbage, refuse, late, no start), ``silent`` (no prompt).
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from pathlib import Path

from tests.emulators.fake_cpu import Cpu

BANNER = "Renode, version 1.16.1 (d66b0c2a-202611220531)"
VERSION = "Renode v1.16.1.10190\n  build: d66b0c2a-202611220531\n  build type: Release\n  runtime: Mono 4.0.30319.42000"
NEGOTIATION = bytes.fromhex("fffd00fffb01fffb03fffc22")
FAULTS = json.loads(os.environ.get("FAKE_RENODE", "{}"))
NUMBER = r"(0x[0-9A-Fa-f]+|\d+)"


class RefusedError(Exception):
    """An answer of the monitor that is an error; it ends a script."""


class Monitor:
    def __init__(self) -> None:
        self.name = "monitor"
        self.cpu: Cpu | None = None
        self.tracer = ""

    def run(self, line: str) -> str:
        """What a command prints, without the final line break."""
        for pattern, method in COMMANDS.items():
            if match := re.fullmatch(pattern, line):
                try:
                    return method(self, *match.groups())
                except RefusedError as exc:
                    raise RefusedError(f"There was an error executing command '{line}'\r\n{exc}") from None
        raise RefusedError(f"No such command or device: {line.split(maxsplit=1)[0]}")

    def include(self, path: str) -> str:
        said = []
        for line in read(path).decode().splitlines():
            said.append(self.run(line))
        return "\r\n".join(text for text in said if text)

    def create(self, name: str) -> str:
        self.name = name
        return ""

    def describe(self, path: str) -> str:
        self.cpu = Cpu(read(path).decode(), log)
        return ""

    def load(self, path: str) -> str:
        if not Path(plain(path)).is_file():
            raise RefusedError("Parameters did not match the signature")
        self.cpu.load(read(path))
        return ""

    def vectors(self, address: str) -> str:
        self.cpu.vectors = int(address, 0)
        return ""

    def write_word(self, address: str, value: str) -> str:
        self.cpu.write(int(address, 0), 4, int(value, 0))
        return ""

    def read_word(self, kind: str, address: str) -> str:
        size = {"DoubleWord": 4, "Word": 2}[kind]
        return f"0x{self.cpu.read(int(address, 0), size):0{2 * size}X}\r"

    def pattern(self, name: str, pattern: str) -> str:
        if len(pattern) != 16:
            raise RefusedError("Currently only 16 and 32-bit opcode patterns are supported")
        self.cpu.install(name, pattern)
        return ""

    def hook(self, address: str, code: str) -> str:
        self.cpu.hooks[int(address, 0)] = code
        return ""

    def backend(self, device: str, path: str) -> str:
        self.cpu.device(device).backend = Path(plain(path)).open("xb", buffering=0)  # noqa: SIM115
        return ""

    def char(self, device: str, value: str) -> str:
        self.cpu.device(device).write_char(int(value, 0))
        return ""

    def watch(self, address: str, code: str) -> str:
        self.cpu.watches[int(address, 0)] = code
        return ""

    def unwatch(self, address: str) -> str:
        self.cpu.watches.pop(int(address, 0), None)
        return ""

    def start(self) -> str:
        self.cpu.start()
        return "Starting emulation...\r\n\r"

    def pause(self) -> str:
        self.cpu.pause()
        return ""

    def paused(self) -> str:
        return f"{self.cpu.paused}\r"

    def executed(self) -> str:
        return f"0x{self.cpu.ExecutedInstructions:016X}\r"

    def register(self, number: str) -> str:
        return f"{self.cpu.GetRegister(int(number)).RawValue:#x}\r"

    def pc(self) -> str:
        return f"{self.cpu.GetRegister(15).RawValue:#x}\r"

    def trace(self, name: str, path: str) -> str:
        self.tracer = name
        self.cpu.begin_trace(Path(plain(path)))
        return ""

    def track(self, name: str) -> str:
        if name != self.tracer:
            raise RefusedError(f"No such command or device: {name}")
        self.cpu.track_accesses()
        return ""

    def untrace(self) -> str:
        self.cpu.end_trace()
        return ""

    def clear(self) -> str:
        self.cpu.pause()
        self.__init__()
        return ""


COMMANDS = {
    r"include (@\S+)": Monitor.include,
    r'mach create "(\w+)"': Monitor.create,
    r"machine LoadPlatformDescription (@\S+)": Monitor.describe,
    r"sysbus LoadELF (@\S+)": Monitor.load,
    r"using sysbus": lambda _: "",
    r"emulation SetGlobalAdvanceImmediately true": lambda _: "",
    rf"cpu VectorTableOffset {NUMBER}": Monitor.vectors,
    rf"sysbus WriteDoubleWord {NUMBER} {NUMBER}": Monitor.write_word,
    rf"sysbus Read(DoubleWord|Word) {NUMBER}": Monitor.read_word,
    r'cpu InstallOpcodeCounterPattern "(\w+)" "([01*]+)"': Monitor.pattern,
    r"cpu EnableOpcodesCounting true": lambda _: "",
    rf'cpu AddHook {NUMBER} "([^"]*)"': Monitor.hook,
    rf'sysbus AddWatchpointHook {NUMBER} DoubleWord Read "([^"]*)"': Monitor.watch,
    rf"sysbus RemoveAllWatchpointHooks {NUMBER}": Monitor.unwatch,
    r"(\w+) CreateFileBackend (@\S+) true": Monitor.backend,
    rf"(\w+) WriteChar {NUMBER}": Monitor.char,
    r'echo "([^"]*)"': lambda _, text: text,
    r"start": Monitor.start,
    r"pause": Monitor.pause,
    r"machine IsPaused": Monitor.paused,
    r"cpu ExecutedInstructions": Monitor.executed,
    r"cpu PC": Monitor.pc,
    r"cpu GetRegister (\d+)": Monitor.register,
    r'cpu CreateExecutionTracing "(\w+)" (@\S+) PC true': Monitor.trace,
    r"(\w+) TrackMemoryAccesses": Monitor.track,
    r"cpu DisableExecutionTracing": Monitor.untrace,
    r"Clear": Monitor.clear,
    r"version": lambda _: BANNER,
}


def plain(path: str) -> str:
    return path.removeprefix("@").replace("\\ ", " ")


def read(path: str) -> bytes:
    try:
        return Path(plain(path)).read_bytes()
    except FileNotFoundError:
        raise RefusedError(f"Could not find file '{plain(path)}'.") from None


def log(level: str, text: str) -> None:
    print(f"07:01:05.5510 [{level}] {text}", flush=True)


def misbehave(line: str, connection: socket.socket) -> None:
    if FAULTS.get("at", "\0") not in line:
        return
    if FAULTS["do"] == "die":
        log("ERROR", "Fatal error: everything is lost")
        os._exit(0)  # Renode's exit code is 0 always
    if FAULTS["do"] == "hang":
        time.sleep(3600)
    if FAULTS["do"] == "late":
        time.sleep(1.0)
    if FAULTS["do"] == "garbage":
        connection.sendall(bytes(range(256)) * 4)
    if FAULTS["do"] == "refuse":
        raise RefusedError(f"There was an error executing command '{line}'\r\nbecause it is Tuesday")


def serve(port: int) -> None:
    server = socket.create_server(("127.0.0.1", port))
    log("INFO", f"Monitor available in telnet mode on port {port}")
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    monitor = Monitor()
    if FAULTS.get("silent"):
        time.sleep(3600)
    connection.sendall(NEGOTIATION + f"{BANNER}\n\r\n\r(monitor) ".encode())
    for text in connection.makefile("r", newline="\n"):
        line = text.rstrip("\r\n")
        connection.sendall(line.encode() + b"\n\r")
        try:
            misbehave(line, connection)
            said = monitor.run(line)
        except RefusedError as exc:
            said = str(exc)
        if said:
            connection.sendall(said.encode() + b"\r\n")
        connection.sendall(f"({monitor.name}) ".encode())


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        print(FAULTS.get("version", VERSION))
    elif re.fullmatch(r"--plain --disable-gui -P \d+", " ".join(sys.argv[1:])):
        if FAULTS.get("do") == "no start":
            log("ERROR", "cannot bind")
            return
        serve(int(sys.argv[-1]))
    else:
        print("Unexpected options detected:", *sys.argv[1:])


if __name__ == "__main__":
    main()
