# Copyright (c) mmloc contributors. All rights reserved.
"""Compute the proposals of a whole set of images, once and for all."""
import os.path as osp
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from mmloc.proposals import write_proposals
from mmloc.proposals.file_layout import Proposals
from mmloc.proposals.selective_search import ALGORITHM
from mmloc.utils.journal import Journal
from mmloc.utils.processes import WorkerDiedError, map_unordered, num_cores

from .image_table import image_path
from .proposal_job import WHOLE, ImageNames, Shard
from .proposal_output import (
    put_in_place,
    read_report,
    refuse_all_skipped,
    refuse_foreign_report,
    search_params,
)
from .transforms.loading import LoadImage, UnreadableImageError
from .transforms.proposals import GenerateProposals

#: Tags of a journal's records. A suspect was in work when a worker was
#: killed; a killer had a worker of its own when that one was.
_BOXES, _SKIPPED, _SUSPECT, _KILLER = 1, 2, 3, 4
_SIZE = struct.Struct('<II')


def generate_proposals(source: str,
                       out: str,
                       search: GenerateProposals,
                       root: str | None = None,
                       shard: Shard = WHOLE,
                       workers: int | None = None,
                       restart: bool = False,
                       overwrite: bool = False,
                       track: Callable | None = None) -> tuple[dict, bool]:
    """Write the proposals of all images of a source.

    Images are decoded by :class:`mmloc.LoadImage`, as in training. One that
    cannot be read is left out of the file and stands in the report with the
    reason; one without any proposal is in the file with no box. The file of a
    shard may be empty.

    What is done is kept in ``OUT.journal``: started again after it ended in
    whatever way, the function goes on, and the file is the same as if it had
    not ended. Images that could not be read are then tried again. If it ended
    because a worker was killed, each image that was in work then gets a
    worker of its own, and one that gets it killed again is left out.

    Args:
        source (str): See :meth:`ImageNames.read`.
        out (str): The file; of a shard, see :meth:`Shard.path`. The report
            is written next to it, ``OUT.report.json``.
        search (GenerateProposals): What boxes are proposed by, without a
            cache and with ``on_empty='keep'``.
        root (str, optional): See :meth:`ImageNames.read`.
        shard (Shard): Part of the images to work on. Defaults to all.
        workers (int, optional): Processes. Defaults to one for each core.
        restart (bool): Whether to drop what is done. Defaults to False.
        overwrite (bool): Whether to replace another file that is there.
            Defaults to False.
        track (Callable, optional): Passes items through to show progress,
            see :func:`mmloc.utils.progress.track`.

    Returns:
        tuple[dict, bool]: The report, and whether it is new: False if the
        same file was already there.

    Raises:
        FileNotFoundError: The source is missing.
        ValueError: An argument or the source is of no use, another file is
            there, or a job with other parameters or another source was begun.
        RuntimeError: No image could be read, a worker was killed, another
            process is at work on ``out``, or the disk is full.
    """
    if search.cache is not None or search.on_empty != 'keep':
        raise ValueError(f'search is {search}, expected cache_dir=None and '
                         "on_empty='keep'.")
    workers = num_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers is {workers}, expected 1 or more.')
    images = ImageNames.read(source, root)
    part = shard.range(len(images.names))
    target = shard.path(out)
    job = dict(
        method='selective_search', algorithm=ALGORITHM, **search.params,
        rule=search.rule, **images.describe(), shard=str(shard))
    with Journal(f'{target}.journal') as journal:
        report = read_report(target, job)
        if report and not overwrite and not restart:
            journal.remove()
            return report, False
        _refuse_existing(target, overwrite, journal)
        journal.begin(job, len(part), restart)
        _work(journal, images, part, search, workers, track or _untracked)
        report = _finish(journal, images, part, target, job)
        journal.remove()
    return report, True


def _refuse_existing(target: str, overwrite: bool, journal: Journal) -> None:
    """Refuse to replace a file, and leave no new journal behind."""
    try:
        if osp.isdir(target) or (osp.exists(target) and not overwrite):
            raise ValueError(
                f'{target!r} is there already, from other images or '
                'parameters or without its report: choose another name, or '
                'ask for it to be overwritten.')
        refuse_foreign_report(target, overwrite)
    except ValueError:
        if not journal.begun:
            journal.remove()
        raise


def _untracked(items: Iterable, total: int, description: str) -> Iterable:
    return items


def _work(journal: Journal, images: ImageNames, part: range,
          search: GenerateProposals, workers: int, track: Callable) -> None:
    """Compute what the journal lacks."""
    todo = np.flatnonzero(~np.isin(journal.tags, (_BOXES, _KILLER)))
    if not len(todo):
        return
    # Here once, for workers would each compile, or load, what they inherit.
    search(dict(img=np.arange(192, dtype=np.uint8).reshape(8, 8, 3)))
    suspects, others = (
        [(item, images.names[part[item]]) for item in items.tolist()]
        for items in (todo[journal.tags[todo] == _SUSPECT],
                      todo[journal.tags[todo] != _SUSPECT]))
    propose = _Propose(search, images.prefix)
    results = chain(_one_by_one(propose, suspects),
                    map_unordered(propose, others, min(workers, len(todo))))
    done = len(part) - len(todo)
    what = f'images ({done} are done already)' if done else 'images'
    try:
        for (item, _), (tag, payload) in track(results, len(todo), what):
            journal.append(item, tag, payload)
    except WorkerDiedError as error:
        for item, _ in error.jobs:
            journal.append(item, _SUSPECT, b'')
        names = [repr(name) for _, name in error.jobs]
        more = f' and {len(names) - 5} others' if len(names) > 5 else ''
        raise RuntimeError(
            'A worker process was killed while images like '
            f'{", ".join(names[:5])}{more} were in work, usually because '
            'memory ran out: run it again, best with fewer workers; it goes '
            'on where it stopped, takes these images one at a time and '
            'leaves out one that gets its worker killed again.') from error


def _one_by_one(propose: Callable,
                jobs: Iterable[tuple[int, str]]) -> Iterator[tuple]:
    """Find out which images get a worker killed."""
    for job in jobs:
        try:
            yield from map_unordered(propose, [job], 1)
        except WorkerDiedError:
            yield job, (_KILLER, b'gets the process that works on it killed, '
                        b'usually because memory runs out')


@dataclass(frozen=True)
class _Propose:
    """What a worker does with an image."""
    search: GenerateProposals
    prefix: str

    def __call__(self, job: tuple[int, str]) -> tuple[int, bytes]:
        path = image_path(job[1], self.prefix)
        try:
            results = self.search(LoadImage()(dict(img_path=path)))
        except UnreadableImageError as error:
            return _SKIPPED, error.reason.encode(errors='replace')
        # No image may end the work on a million others.
        except Exception as error:
            reason = f'fails with {type(error).__name__}: {error}'
            return _SKIPPED, reason.encode(errors='replace')
        height, width = results['img_shape']
        boxes = results['proposals'].astype('<f4').tobytes()
        return _BOXES, _SIZE.pack(width, height) + boxes


def _finish(journal: Journal, images: ImageNames, part: range, target: str,
            job: dict) -> dict:
    """Write file and report from a complete journal."""
    skipped = [
        dict(name=images.names[part[item]], reason=journal.read(item).decode())
        for item in np.flatnonzero(
            np.isin(journal.tags, (_SKIPPED, _KILLER))).tolist()
    ]
    if job['shard'] == str(WHOLE):  # others may hold what this shard lacks
        try:
            refuse_all_skipped(skipped, len(part), images.prefix)
        except RuntimeError:
            journal.remove()
            raise
    report = dict(
        job=job, images=len(part), num_repeated=images.num_repeated,
        written=0, boxes=0, skipped=skipped, without_proposals=[])
    write_proposals(journal.whole, _records(journal, images, part, report),
                    search_params(job), overwrite=True)
    put_in_place(journal.whole, target, report)
    return report


def _records(journal: Journal, images: ImageNames, part: range,
             report: dict) -> Iterator[Proposals]:
    """Read the boxes in the order of the source, and count them."""
    for item in map(int, np.flatnonzero(journal.tags == _BOXES)):
        payload = journal.read(item)
        boxes = np.frombuffer(payload, '<f4', offset=_SIZE.size).reshape(-1, 4)
        name = images.names[part[item]]
        report['written'] += 1
        report['boxes'] += len(boxes)
        if not len(boxes):
            report['without_proposals'].append(name)
        yield Proposals(name, *_SIZE.unpack_from(payload), boxes)
