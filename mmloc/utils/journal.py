# Copyright (c) mmloc contributors. All rights reserved.
"""Keep the results of a long job on the disk while it is at work.

A journal is a folder: ``job.json`` says what the job is, ``lock`` keeps other
processes out, and each run appends to a file of its own, ``000000.part`` and
so on, so that nothing written is ever changed. A record is ::

    uint32  CRC-32 of all that follows
    uint32  n, length of the payload in bytes
    uint64  item that it is about
    uint8   tag, not 0
    n bytes payload

in little-endian numbers. A process killed while it writes leaves a torn last
record, which no longer agrees with its length or its CRC and is left out.
"""
import fcntl
import json
import os
import re
import socket
import struct
import time
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from .files import atomic_write, full_disk_named

_HEAD = struct.Struct('<IIQB')
_SYNC_SECONDS = 5.0
_PART = re.compile(r'\d{6,}\.part')
_WHOLE = r'(job\.json|whole(\.report)?)'
#: Whatever else lies in the folder is not the journal's to delete.
_OWN = re.compile(
    rf'{_PART.pattern}|{_WHOLE}|\.{_WHOLE}\.[0-9a-f]{{8}}\.tmp')


class Journal:
    """Results by item, to which one process at a time appends.

    Use it in a ``with`` statement, which takes the lock; the system gives it
    free when the process ends, by whatever signal.

    Args:
        folder (str): The journal's folder, made if there is none.

    Attributes:
        folder (Path): The folder.
        tags (np.ndarray): (number of items, ), uint8: the tag of the newest
            record of each item, 0 without one. After :meth:`begin`.

    Raises:
        RuntimeError: Another process is at work on it, or the disk is full.
        ValueError: The folder is there, but is no journal.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.tags = np.zeros(0, np.uint8)
        self._parts: list[Path] = []
        self._file = self._lock = None
        self._readers: dict = {}

    def __enter__(self) -> 'Journal':
        while self._lock is None:
            self._lock = self._acquire()
        return self

    def __exit__(self, *_) -> None:
        with ExitStack() as stack:  # all of them, whatever fails
            for file in (self._lock, *self._readers.values(), self._file):
                if file is not None:
                    stack.callback(file.close)
            self._file = self._lock = None
            self._readers.clear()

    @property
    def whole(self) -> str:
        """str: Where the results may be put together, on the same disk; a
        ``.report`` may stand next to it."""
        return str(self.folder / 'whole')

    @property
    def begun(self) -> bool:
        """bool: Whether there is a job to go on with."""
        return (self.folder / 'job.json').exists()

    def begin(self, job: dict, size: int, restart: bool = False) -> None:
        """Go on with the job of the journal, or begin it.

        Args:
            job (dict): What identifies the job, as JSON stores it.
            size (int): Number of items.
            restart (bool): Whether to drop what is there.

        Raises:
            ValueError: The journal is that of another job, or damaged.
        """
        path = self.folder / 'job.json'
        job = json.loads(json.dumps(job))
        if restart or not self.begun:
            for part in self._list_parts():
                part.unlink()
            with atomic_write(path, True, 'w') as file:
                json.dump(job, file, indent=2)
        try:
            begun = dict(json.loads(path.read_text(encoding='utf-8')))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'{str(path)!r} is damaged, so it is not known which job was '
                'begun: ask for a restart to drop it.') from error
        differences = [
            f'{key} {begun.get(key)!r} and now {job.get(key)!r}'
            for key in {**begun, **job} if begun.get(key) != job.get(key)
        ]
        if differences:
            raise ValueError(
                f'{str(self.folder)!r} holds a job begun with '
                f'{"; ".join(differences)}: give the same to go on with it, '
                'or ask for a restart to drop it.')
        self.tags = np.zeros(size, np.uint8)
        self._places = np.zeros((size, 2), np.int64)  # part, offset
        self._parts = self._list_parts()
        for number in range(len(self._parts)):
            self._scan(number)

    def append(self, item: int, tag: int, payload: bytes) -> None:
        """Store a result.

        Args:
            item (int): The item, from 0.
            tag (int): 1 to 255, for the caller to tell results apart.
            payload (bytes): The result.

        Raises:
            RuntimeError: The disk did not take it.
        """
        body = _HEAD.pack(0, len(payload), item, tag)[4:] + payload
        record = memoryview(struct.pack('<I', zlib.crc32(body)) + body)
        try:
            if self._file is None:
                self._open_part()
            place = len(self._parts) - 1, self._file.tell()
            # What the system has survives a kill, what the disk has a crash.
            while record:
                record = record[self._file.write(record):]
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            # Nothing may follow what was cut off.
            if self._file is not None:
                self._file.close()
                self._file = None
            raise RuntimeError(
                f'Cannot write to {str(self.folder)!r} '
                f'({error.strerror or error}): make room and run it again, '
                'which goes on from here.') from error
        self.tags[item], self._places[item] = tag, place

    def read(self, item: int) -> bytes:
        """Get the newest result of an item.

        Args:
            item (int): An item whose tag is not 0.

        Returns:
            bytes: Its payload.
        """
        number, offset = self._places[item].tolist()
        if number not in self._readers:
            self._readers[number] = self._parts[number].open('rb')
        fd = self._readers[number].fileno()
        _, length, *_ = _HEAD.unpack(os.pread(fd, _HEAD.size, offset))
        return os.pread(fd, length, offset + _HEAD.size)

    def remove(self) -> None:
        """Delete the journal, but no file of others in its folder."""
        for path in self.folder.iterdir():
            if _OWN.fullmatch(path.name):
                path.unlink()
        # The last of all: a folder without it is not taken for a journal.
        (self.folder / 'lock').unlink()
        with suppress(OSError):  # not empty
            self.folder.rmdir()

    def _acquire(self):
        """Take the lock, None if the journal was removed meanwhile."""
        path = self.folder / 'lock'
        if self.folder.exists() and not path.exists() and (
                not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ValueError(f'{str(self.folder)!r} is there and is not a '
                             'journal of a begun job; move it away.')
        self.folder.mkdir(parents=True, exist_ok=True)
        file = path.open('a+')
        try:
            # Not flock, which forked workers would hold on to.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or 'another process'
            file.close()
            raise RuntimeError(
                f'{owner} is at work on {str(self.folder)!r}: wait for its '
                'end, or choose another output.') from None
        try:
            same = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
        except FileNotFoundError:
            same = False
        if not same:
            file.close()
            return None
        file.seek(0)
        if file.read(8) not in ('process ', ''):
            file.close()
            raise ValueError(f'{str(path)!r} is not the lock of a journal; '
                             'move the folder away.')
        owner = f'process {os.getpid()} on {socket.gethostname()}'
        try:
            file.truncate(0)
            with full_disk_named(str(path)):
                os.write(file.fileno(), owner.encode())
        except BaseException:
            file.close()
            raise
        return file

    def _list_parts(self) -> list[Path]:
        return sorted(path for path in self.folder.glob('*.part')
                      if _PART.fullmatch(path.name))

    def _open_part(self) -> None:
        last = int(self._parts[-1].stem) if self._parts else -1
        path = self.folder / f'{last + 1:06d}.part'
        # Without a buffer, which a full disk would refuse once more on close.
        self._file = path.open('xb', buffering=0)
        self._parts.append(path)
        self._synced = time.monotonic()

    def _scan(self, number: int) -> None:
        """Find the whole records of a part."""
        with self._parts[number].open('rb') as file:
            offset = 0
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                checksum, length, item, tag = _HEAD.unpack(head)
                payload = file.read(length)
                if (len(payload) < length or item >= len(self.tags) or
                        zlib.crc32(payload, zlib.crc32(head[4:])) != checksum):
                    break
                self.tags[item] = tag
                self._places[item] = number, offset
                offset += _HEAD.size + length
