"""Keeps several workers serving on one listening socket: starts them, replaces those that die, ends them in good order.

It opens the socket once and hands it over by its descriptor, so that no connection meets a closed door while workers
come and go. Workers are the same program, started anew; one more than there are seats has imported everything and
waits, so that one that dies is replaced at once. It serves nothing, holds no database and keeps no secret: those of a
first start pass through it once, to whoever announces them.
"""

import asyncio
import itertools
import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from dominion.app.gateway import Ready
from dominion.app.place import WORKERS
from dominion.app.worker import CUT, RETIRE, STOP
from dominion.config import Settings
from dominion.stores.files.figures import forget_figures
from dominion.transports.http.listener import bind

LOG = logging.getLogger("dominion.supervisor")
START_SECONDS = 60.0
STEADY_SECONDS = 1.0
"""A worker that dies sooner after it was ready died at once."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before the next worker is started when one died at once, and how far they double."""
LAST_SECONDS = 10.0
"""On top of what draining may take; whatever still runs then is killed."""


class Spare(NamedTuple):
    """A process that waits to be told which worker it is."""

    process: subprocess.Popen[bytes]
    control: socket.socket


class Worker:
    """A worker process. `ready` is its word that it serves, None when it ended before; `ended` comes with its end."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.number = number
        self.process = process
        self.ready: asyncio.Future[Ready | None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.steady = False
        self._control = control
        self._writer: asyncio.StreamWriter | None = None

    async def live(self) -> None:
        """Listen to it until it ends."""
        loop = asyncio.get_running_loop()
        reader, self._writer = await asyncio.open_connection(sock=self._control)
        line = await reader.readline()
        began = loop.time()
        self.ready.set_result(msgspec.json.decode(line, type=Ready) if line else None)
        await reader.read()
        await asyncio.to_thread(self.process.wait)
        self._writer.close()
        self.steady = bool(line) and loop.time() - began >= STEADY_SECONDS
        self.ended.set()

    def tell(self, what: bytes) -> None:
        """STOP, RETIRE or CUT."""
        if self._writer is not None:
            self._writer.write(what)


class Seat:
    """One of the workers there should be at any time. `lock` is held while another takes it."""

    def __init__(self, worker: Worker | None) -> None:
        self.worker = worker
        self.lock = asyncio.Lock()
        self.wait = 0.0


class Supervisor:
    """Runs `count` workers. `command` starts one when `--worker NUMBER LISTENING CONTROL ADOPTS` is put behind it;
    `drain_seconds` is the longest that a worker may take to end."""

    def __init__(self, command: Sequence[str], count: int, listening: socket.socket, drain_seconds: float) -> None:
        self._command = command
        self._count = count
        self._listening = listening
        self._drain_seconds = drain_seconds
        self._living: dict[int, Worker] = {}
        self._left: set[int] = set()  # numbers of workers that died: who takes one replays its journal
        self._followers: set[asyncio.Task[None]] = set()
        self._stopping, self._renewing = asyncio.Event(), asyncio.Event()
        self._failed = False
        self._spare: Spare | None = None

    def stop(self) -> None:
        """Drain and end; called again: end at once."""
        what = CUT if self._stopping.is_set() else STOP
        self._stopping.set()
        for worker in self._living.values():
            worker.tell(what)

    def renew(self) -> None:
        """Replace worker after worker by a new one, each only when the new one serves."""
        self._renewing.set()

    async def run(self, announce: Callable[[Ready], None]) -> int:
        """Until `stop`; the exit code. The first worker starts alone, so that what happens once happens once."""
        first = await self._launch(adopts=True)
        if first is None:
            return 0 if self._stopping.is_set() else 1
        others = await asyncio.gather(*[self._launch() for _ in range(self._count - 1)])
        seats = [Seat(worker) for worker in (first, *others)]
        announce(_known(first.ready.result()))
        self._keep_spare()
        tasks = [asyncio.create_task(self._keep(seat)) for seat in seats]
        tasks.append(asyncio.create_task(self._renew(seats)))
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drop_spare()
        await self._wait_for_all()
        return int(self._failed)

    def _begin(self, number: int, *, adopts: bool = False) -> Spare:
        """A new process; 0: it is told its number later."""
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (self._listening.fileno(), theirs.fileno())
            place = [str(each) for each in (number, *fds, int(adopts))]
            process = subprocess.Popen(  # noqa: S603 - our own program
                [*self._command, "--worker", *place], stdin=subprocess.DEVNULL, pass_fds=fds, process_group=0
            )
        return Spare(process, ours)

    def _keep_spare(self) -> None:
        """Have one that waits; it begins when everybody else serves, as its imports would only delay them."""
        if self._spare is None and not self._stopping.is_set():
            self._spare = self._begin(0)

    def _drop_spare(self) -> None:
        """It has done nothing yet."""
        if self._spare is not None:
            self._spare.process.kill()
            self._spare.process.wait()
            self._spare.control.close()
            self._spare = None

    def _taken(self, number: int) -> Spare | None:
        """The one that waits, with this number from now on; None: there is none, or it died."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            spare.control.sendall(b"%d\n" % number)
        except OSError:
            self._spare = spare
            self._drop_spare()
            return None
        return spare

    async def _launch(self, *, adopts: bool = False, warm: bool = False) -> Worker | None:
        """A new worker that serves; None when it did not come up, and has said why. `warm`: the one that waits will do,
        although it was started before now."""
        free = (number for number in itertools.count(1) if number not in self._living)
        number = min(self._left, default=0) or next(free)
        self._left.discard(number)
        process, control = (self._taken(number) if warm else None) or self._begin(number, adopts=adopts)
        worker = self._living[number] = Worker(number, process, control)
        follower = asyncio.create_task(self._follow(worker))
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        try:
            ready = await asyncio.wait_for(asyncio.shield(worker.ready), START_SECONDS)
        except TimeoutError:
            LOG.error("worker %d was not ready after %d s and is killed", number, START_SECONDS)  # noqa: TRY400 - no defect
            process.kill()
            ready = None
        if ready is None:
            await worker.ended.wait()
            return None
        LOG.info("worker %d is ready, process %d", number, process.pid)
        return worker

    async def _follow(self, worker: Worker) -> None:
        await worker.live()
        del self._living[worker.number]
        if worker.process.returncode:
            self._left.add(worker.number)
            self._failed = self._failed or self._stopping.is_set()

    async def _keep(self, seat: Seat) -> None:
        """Start another worker when the seat's own has died; later and later while they die at once."""
        while True:
            worker = seat.worker
            if worker is not None:
                await worker.ended.wait()
            async with seat.lock:
                if seat.worker is not worker:
                    continue  # it was renewed
                if worker is not None and worker.steady:
                    seat.wait = 0.0
                if worker is not None:
                    code = worker.process.returncode
                    LOG.error(
                        "worker %d ended (exit code %s), another one starts in %g s", worker.number, code, seat.wait
                    )
                await asyncio.sleep(seat.wait)
                seat.wait = min(LONGEST_WAIT, max(FIRST_WAIT, 2 * seat.wait))
                seat.worker = await self._launch(warm=True)
            self._keep_spare()

    async def _renew(self, seats: Sequence[Seat]) -> None:
        while True:
            await self._renewing.wait()
            self._renewing.clear()
            LOG.info("renewing %d workers", len(seats))
            self._drop_spare()  # it is of the old program
            for seat in seats:
                if not await self._renewed(seat):
                    LOG.error("worker's successor did not start: it goes on, and those after it")
                    break
            else:
                LOG.info("all workers are new")
            self._keep_spare()

    async def _renewed(self, seat: Seat) -> bool:
        async with seat.lock:
            new = await self._launch()
            if new is None:
                return False
            old, seat.worker = seat.worker, new
            if old is not None:
                old.tell(RETIRE)
            return True

    async def _wait_for_all(self) -> None:
        followers = set(self._followers)
        if followers:
            _, late = await asyncio.wait(followers, timeout=self._drain_seconds + LAST_SECONDS)
            if late:
                LOG.error("%d workers did not end in time and are killed", len(late))
                self._failed = True
                for worker in self._living.values():
                    worker.process.kill()
                await asyncio.wait(late)


def _known(ready: Ready | None) -> Ready:
    assert ready is not None  # noqa: S101 - it serves
    return ready


def supervise(
    settings: Settings, command: Sequence[str], listening: socket.socket | None, announce: Callable[[Ready], None]
) -> int:
    """Run workers until SIGTERM or SIGINT; SIGHUP renews them. `command` starts this program, `announce` is called when
    they answer. Returns the exit code. Raises ConfigProblem when it cannot listen.
    """

    async def run(listening: socket.socket) -> int:
        drain_seconds = settings.drain_notice_seconds + settings.drain_seconds
        supervisor = Supervisor(command, settings.workers, listening, drain_seconds)
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, supervisor.stop)
        loop.add_signal_handler(signal.SIGHUP, supervisor.renew)
        return await supervisor.run(announce)

    with listening or bind(settings.host, settings.port) as opened:
        forget_figures(settings.data_dir / WORKERS)
        return asyncio.run(run(opened))
