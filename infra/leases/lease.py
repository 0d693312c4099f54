"""A lease on a run folder: of two drivers one works, and the other ends in one line.

`<run>/lease.json` says who works there and is written anew every BEAT seconds. A driver that finds
one of this machine asks the kernel: a process that is gone is taken over from at once, one that
lives is left alone. Of another machine it watches the lease by its own clock, for clocks of two
machines are never compared: one that changes is held, one that did not for EXPIRY seconds is taken
over. Who finds its lease lost, as after a suspended night, stops.
"""

import errno
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra import storage
from infra.errors import FaultError, RunError
from infra.leases.holder import Holder
from infra.leases.swap import content, remove, swap
from infra.progress import say

FILE = "lease.json"
BEAT = 10.0  # seconds between two signs of life
EXPIRY = 60.0  # seconds without one, after which another machine takes over
LOOK = 1.0  # seconds between two looks at the lease of another machine
SETTLE = 1.0  # seconds after which a server that ignores conditions shows who was the last to write
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
HELD: dict[str, "Lease"] = {}  # by this process: the run's URI → its lease


@contextmanager
def held(run: str, command: str) -> Iterator[None]:
    """Hold the lease on a run folder while the block runs.

    Raises RunError in one line where another command works there, and FaultError in place of what
    the block raises where the lease was lost meanwhile.
    """
    made = storage.is_local(run) and not Path(run).exists()
    lease = Lease(storage.join(run, FILE), command)
    try:
        lease.take()
    except FaultError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in READ_ONLY:
            raise
        yield  # nothing can be written there, and what is complete can be used
        return
    HELD[run] = lease
    lease.thread.start()
    try:
        yield
    except BaseException as error:  # the interrupt by which `beat` stops the block, too
        if lease.lost is not None:
            raise lease.lost from error
        raise
    finally:
        del HELD[run]
        lease.release()
        if made:
            with suppress(OSError):  # what is left where nothing was written
                Path(run).rmdir()


def confirm(run: str) -> None:
    """Raise FaultError where this process has lost its lease on the run folder.

    Called before what makes a stage complete is written; a process that took no lease passes.
    """
    if run in HELD:
        HELD[run].confirm()


class Lease:
    """The lease at a URI, as the process that takes it sees it."""

    def __init__(self, uri: str, command: str) -> None:
        self.uri = uri
        self.mine = Holder.here(command)
        self.lost: FaultError | None = None
        self.thread = threading.Thread(target=self.beat, name="lease", daemon=True)
        self.ended = threading.Event()
        self.one_at_a_time = threading.Lock()
        self.main = threading.current_thread() is threading.main_thread()

    def take(self) -> None:
        """Take it, after a wait where it is of another machine that may be gone; or raise RunError
        where a command is at work."""
        watch = Watch()
        while True:
            asked = time.monotonic()
            found = content(self.uri)
            if found == self.mine.content():
                return  # written after all, though the storage said that it was not
            if time.monotonic() - asked > BEAT:
                # Storage that was away for this command was so for the other one, too.
                watch.since = time.monotonic()
            gone = found is None or self._gone(Holder.read(found), found, watch)
            if not gone:
                time.sleep(LOOK)
            elif swap(self.uri, found, self.mine.content()):
                if not storage.is_local(self.uri):
                    time.sleep(SETTLE)
                if content(self.uri) == self.mine.content():
                    return

    def _gone(self, holder: Holder | None, found: bytes, watch: "Watch") -> bool:
        lives = None if holder is None else holder.lives()
        if holder is not None and lives is not None:
            if lives:
                raise self._busy(holder)
            say("lease", f"{holder} is gone; this command goes on in its place")
            return True
        token = "" if holder is None else holder.token
        if token != watch.token:
            watch.token, watch.content, watch.since = token, found, time.monotonic()
            who = "its writer cannot be told" if holder is None else str(holder)
            say("lease", f"{self.uri}: {who}; waiting up to {EXPIRY:.0f} s for a sign of life")
        elif found != watch.content:
            if holder is not None:
                raise self._busy(holder)
            watch.content, watch.since = found, time.monotonic()
        elif time.monotonic() - watch.since >= EXPIRY:
            say("lease", "none came; this command goes on in its place")
            return True
        return False

    def _busy(self, holder: Holder) -> RunError:
        return RunError(
            f"{self.uri.removesuffix('/' + FILE)}: another command is at work there: {holder}. "
            "Wait for its end, or give another --run"
        )

    def confirm(self) -> None:
        """Give a sign of life; raises FaultError where the lease is no longer this process's."""
        with self.one_at_a_time:
            if self.lost is None and not swap(
                self.uri, self.mine.content(), self.mine.again().content()
            ):
                holder = Holder.read(content(self.uri) or b"")
                if holder is None or holder.token != self.mine.token:
                    who = "is gone" if holder is None else f"was taken over by {holder}"
                    self.lost = FaultError(
                        f"{self.uri}: this command's lease {who}; it stopped, so as not to write "
                        "beside another. Give it again when no other is at work"
                    )
                else:
                    self.mine = holder  # an answer was lost, and not the sign of life
            elif self.lost is None:
                self.mine = self.mine.again()
            if self.lost is not None:
                raise self.lost

    def beat(self) -> None:
        """Give signs of life until the end, and then the lease up; where it is lost, interrupt the
        main thread."""
        while not self.ended.wait(BEAT):
            # Storage that does not answer now may do so at the next beat; the end of a stage asks.
            with suppress(Exception):
                self.confirm()
            if self.lost is not None:
                if self.main and not self.ended.is_set():
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return
        with suppress(Exception):  # one that stays is known by its process, which is gone then
            remove(self.uri, self.mine.content())

    def release(self) -> None:
        """Give it up, and wait no longer for storage that does not answer."""
        self.ended.set()
        self.thread.join(BEAT)


@dataclass
class Watch:
    """The lease of another machine: since when, by this machine's clock, it has not changed."""

    token: str | None = None
    content: bytes = b""
    since: float = 0.0
