"""A terminal of so many columns: what is written to it can be read."""

import fcntl
import os
import pty
import select
import struct
import termios
from typing import TextIO


class Terminal:
    """A pseudo-terminal; `stream` writes to it, `file` is what a process is given."""

    def __init__(self, columns: int = 100) -> None:
        self.ours, self.file = pty.openpty()
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream: TextIO = os.fdopen(os.dup(self.file), "w", encoding="utf-8")

    def shown(self) -> str:
        """All that was written, once nobody writes any more; line ends as they were written."""
        self.stream.close()
        os.close(self.file)
        parts = []
        while select.select([self.ours], [], [], 60)[0]:
            try:
                part = os.read(self.ours, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            parts.append(part)
        os.close(self.ours)
        return b"".join(parts).decode().replace("\r\n", "\n")
