"""Runs beside Renode as a process of its own and ends with whoever started it, however that one ends.

Called as ``supervisor.py FOLDER PROGRAM ARGUMENT...``. Standard input is a pipe that nobody writes to: its end means
that the owner has closed it or has been killed. Then the program and all its children are killed and the folder is
removed. Standard library only: it runs isolated from the packages of the owner.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.2


def _die_with_parent() -> None:
    """On Linux the program goes even when this supervisor is killed; elsewhere the call does not exist."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(folder: str, command: list[str]) -> None:
    """Run the command until standard input ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open(os.path.join(folder, "stdout.log"), "wb") as log:  # noqa: PTH118, PTH123
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
        )
    try:
        with open(os.path.join(folder, "pid"), "w") as file:  # noqa: PTH118, PTH123
            file.write(str(child.pid))
        while True:
            child.poll()
            readable, _, _ = select.select([sys.stdin], [], [], _POLL_S)
            if readable and not os.read(sys.stdin.fileno(), 4096):
                return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
