"""Those who watch, and what they are told: read once, formatted once, however many they are.

The service shares its machine with a measurement. So there is one look at the database a second
for each job that is watched, and one chunk of bytes that all of its watchers are sent.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from time import monotonic

from tuner.errors import StorageError
from tuner.service.api.news import STILL_HERE, News, Position, Subject, newest, news, opening
from tuner.service.api.problems import later
from tuner.store.storage import Storage

# How often it is looked for news, in seconds.
LOOK_S = 1.0
# A stream that has said nothing for so long, in seconds, says that it is there.
_STILL_HERE_S = 15.0
# So many may watch at once.
MOST_WATCHERS = 500
# Who has not taken so many bytes is too slow, and may come again with Last-Event-ID.
_MOST_WAITING_BYTES = 256_000
# So many pages of what was told before are kept for those who come.
_MOST_PAGES = 16

_log = logging.getLogger(__name__)


class Watcher:
    """One connection: what it is to be sent."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.is_gone = False

    def tell(self, chunk: bytes) -> None:
        """Have it sent `chunk`; one that is too slow is told no more."""
        if self._chunks and self._bytes + len(chunk) > _MOST_WAITING_BYTES:
            self.leave()
            return
        self._bytes += len(chunk)
        self._chunks.append(chunk)
        self._news.set()

    def end(self) -> None:
        """Have it leave after what it was told."""
        self.is_gone = True
        self._news.set()

    def leave(self) -> None:
        """At once."""
        self._chunks.clear()
        self.end()

    async def chunks(self) -> AsyncGenerator[bytes]:
        while self._chunks or not self.is_gone:
            if not self._chunks:
                await self._news.wait()
                self._news.clear()
                continue
            chunk = b"".join(self._chunks)
            self._chunks.clear()
            self._bytes = 0
            yield chunk


class Channel:
    """All who watch the same, and up to where they were told.

    `users` are those of its watchers, too, who still read what was told before.
    """

    def __init__(self, storage: Storage, subject: Subject) -> None:
        self._storage = storage
        self._subject = subject
        self._told_s = monotonic()
        self.users: set[Watcher] = set()
        self.watchers: set[Watcher] = set()
        self.position = Position()
        self.is_over = False
        self.begun = asyncio.Event()
        self._pages: OrderedDict[Position, asyncio.Task[News]] = OrderedDict()

    async def page(self, after: Position) -> News:
        """What was told after a position, up to now or less; read once for all who ask.

        Raises:
            StorageError: It cannot be read.
        """
        task = self._pages.get(after)
        if task is None:
            read = asyncio.to_thread(news, self._storage, self._subject, after, self.position)
            task = self._pages[after] = asyncio.ensure_future(read)
            if len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)
        try:
            return await asyncio.shield(task)  # of others, too, when this one leaves
        except StorageError:
            self._pages.pop(after, None)
            raise

    async def run(self) -> None:
        """Until the job is over and all was told, or nobody watches any more."""
        try:
            newest_now = partial(newest, self._storage, self._subject)
            self.position, self.is_over = await asyncio.to_thread(newest_now)
            self.begun.set()
            while self.users and not self.is_over:
                await asyncio.sleep(LOOK_S)
                await self._look()
        finally:
            self.is_over = True
            self.begun.set()
            for watcher in self.watchers:
                watcher.end()

    async def _look(self) -> None:
        """Tell all watchers what is new."""
        try:
            found = await asyncio.to_thread(news, self._storage, self._subject, self.position)
        except StorageError as error:
            _log.warning("no look for news: %s", error.message)
            return
        self.position = found.position
        self.is_over = self._subject.job is not None and found.is_all and bool(found.is_over)
        if found.text:
            self._tell(found.text)
        elif monotonic() - self._told_s >= _STILL_HERE_S:
            self._tell(STILL_HERE)

    def _tell(self, chunk: bytes) -> None:
        self._told_s = monotonic()
        for watcher in self.watchers:
            watcher.tell(chunk)


class Watching:
    """The channels of a service, each for as long as somebody watches it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._channels: dict[Subject, Channel] = {}
        self._watchers: set[Watcher] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many watch."""
        return sum(not each.is_gone for each in tuple(self._watchers))

    def close(self) -> None:
        """Let all watchers go, as the service ends."""
        for watcher in tuple(self._watchers):
            watcher.leave()

    @contextmanager
    def admitted(self) -> Iterator[Watcher]:
        """One more watcher.

        Raises:
            ProblemError: There are too many.
        """
        if self.count >= MOST_WATCHERS:
            raise later(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST_WATCHERS} watch already",
                "ask for the job every few seconds instead",
                after_s=10,
            )
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            watcher.leave()
            self._watchers.discard(watcher)

    async def told(
        self, watcher: Watcher, subject: Subject, after: Position | None
    ) -> AsyncGenerator[bytes]:
        """What `watcher` is to be sent: all that comes `after` a position, or after now.

        Raises:
            StorageError: What came before now cannot be read.
        """
        channel = self._channel(subject)
        channel.users.add(watcher)
        try:
            await channel.begun.wait()
            position = after or channel.position
            yield opening(position)
            while not position.holds(channel.position) and not watcher.is_gone:
                found = await channel.page(position)
                position = found.position
                if found.text:
                    yield found.text
            # Nothing is awaited between the last look at the channel's position and this: what
            # the channel tells next is what comes next.
            if channel.is_over:
                return
            channel.watchers.add(watcher)
            async for chunk in watcher.chunks():
                yield chunk
        finally:
            channel.users.discard(watcher)
            channel.watchers.discard(watcher)

    def _channel(self, subject: Subject) -> Channel:
        found = self._channels.get(subject)
        if found is None or found.is_over:
            found = self._channels[subject] = Channel(self._storage, subject)
            task = asyncio.get_running_loop().create_task(found.run())
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, subject, found))
        return found

    def _ended(self, subject: Subject, channel: Channel, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._channels.get(subject) is channel:
            del self._channels[subject]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("watching ended", exc_info=error)
