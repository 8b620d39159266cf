# Copyright (c) mmloc contributors. All rights reserved.
"""Files of proposals with their reports, and how shards become one."""
import glob
import hashlib
import json
import os
import os.path as osp
import tempfile
from collections.abc import Iterator, Sequence

from mmloc.proposals import ProposalFile, write_proposals
from mmloc.proposals.file_layout import Proposals
from mmloc.utils.files import atomic_write, refuse_existing, sync_folder

from .proposal_job import WHOLE, Shard

#: What a shard's parameters hold for merging, besides those of the search.
_OF_SHARDS = ('shard', 'images')


def search_params(job: dict) -> dict:
    """Choose what a file says on how its boxes were made.

    Args:
        job (dict): The whole description of a job.

    Returns:
        dict: The parameters of the search and, of a shard, what merging has
        to check.
    """
    others = {'root', *_OF_SHARDS}
    if job['shard'] != str(WHOLE):
        others = {'root'}
    return {key: value for key, value in job.items() if key not in others}


def put_in_place(whole: str, target: str, report: dict) -> None:
    """Give a complete file its name, after its report.

    In this order, a file without a report that speaks of it is never ours.

    Args:
        whole (str): The file under a temporary name, on the same disk.
        target (str): Its name.
        report (dict): Becomes ``TARGET.report.json``, with the ``sha256`` of
            the file.
    """
    with open(whole, 'rb') as file:
        report['sha256'] = _sha256(file)
    with atomic_write(f'{whole}.report', True, 'w') as file:
        json.dump(report, file, indent=1)
    os.replace(f'{whole}.report', f'{target}.report.json')
    os.replace(whole, target)
    sync_folder(osp.dirname(osp.abspath(target)))


def refuse_all_skipped(skipped: Sequence[dict], num: int,
                       prefix: str) -> None:
    """Refuse a whole set of which nothing is left.

    Args:
        skipped (Sequence[dict]): ``name`` and ``reason`` of the images that
            could not be read.
        num (int): Number of images.
        prefix (str): Folder or zip that the names start from.

    Raises:
        RuntimeError: No image could be read.
    """
    if len(skipped) == num:
        raise RuntimeError(
            f'None of the {num} images could be read, the first being '
            f'{osp.join(prefix, skipped[0]["name"])!r}, which '
            f'{skipped[0]["reason"]}; check the source and its root.')


def refuse_foreign_report(target: str, overwrite: bool) -> None:
    """Refuse to replace what only has the name of a report.

    Args:
        target (str): The file whose report would be written.
        overwrite (bool): Whether anything may be replaced.

    Raises:
        ValueError: There is something else under the report's name.
    """
    path = f'{target}.report.json'
    if not osp.lexists(path) or (overwrite and not osp.isdir(path)):
        return
    try:
        with open(path, encoding='utf-8') as file:
            known = {'job', 'sha256'} <= set(json.load(file))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f'{path!r} is there already and is no report of proposals: '
            'choose another name, or ask for it to be overwritten.')


def read_report(target: str, job: dict | None = None) -> dict | None:
    """Read the report of a file.

    Args:
        target (str): The file.
        job (dict, optional): What it has to come from. Defaults to None,
            anything.

    Returns:
        dict, optional: The report, None if it, or the file, is missing, of
        another job, or if the report speaks of another file.
    """
    try:
        with open(f'{target}.report.json', encoding='utf-8') as file:
            report = json.load(file)
        with open(target, 'rb') as file:
            same = report['sha256'] == _sha256(file)
        known = json.loads(json.dumps(job)) in (None, report['job'])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if same and known else None


def _sha256(file) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def merge_shards(out: str, overwrite: bool = False) -> dict:
    """Join the files of all shards; they are left as they are.

    The file and the report are those of a run without shards, byte for byte.

    Args:
        out (str): The file to write; its shards are next to it.
        overwrite (bool): Whether to replace a file. Defaults to False.

    Returns:
        dict: The report.

    Raises:
        FileNotFoundError: A shard or its report is missing.
        ValueError: The shards do not belong together, or there is a file and
            ``overwrite`` is not given.
        RuntimeError: No image of any shard could be read.
    """
    refuse_existing(out, overwrite)
    refuse_foreign_report(out, overwrite)
    paths = _find_shards(out)
    files = [ProposalFile(path) for path in paths]
    params = [
        {key: value for key, value in file.params.items() if key != 'shard'}
        for file in files
    ]
    for path, found in zip(paths, params):
        if found != params[0]:
            raise ValueError(
                f'{path!r} was made with {found}, but {paths[0]!r} with '
                f'{params[0]}: make it again as the others.')
    reports = [read_report(path) for path in paths]
    if None in reports:
        path = paths[reports.index(None)]
        raise FileNotFoundError(
            f'The report of {path!r} is missing or not that of this file; '
            'make the shard again.')
    report = _join_reports(reports)
    refuse_all_skipped(
        report['skipped'], report['images'], report['job']['root'])
    params = {
        key: value
        for key, value in params[0].items() if key not in _OF_SHARDS
    }
    with tempfile.TemporaryDirectory(
            dir=osp.dirname(osp.abspath(out)),
            prefix=f'.{osp.basename(out)}.') as folder:
        whole = osp.join(folder, 'whole')
        write_proposals(whole, _join(files), params)
        put_in_place(whole, out, report)
    return report


def _find_shards(out: str) -> list[str]:
    """Find all shards of a file, in their order."""
    found = glob.glob(f'{glob.escape(out)}.shard*of*')
    counts = {
        int(path.rpartition('of')[2])
        for path in found if path.rpartition('of')[2].isdigit()
    }
    if len(counts) != 1:
        raise FileNotFoundError(
            f'There are shards of {sorted(counts) or "no"} parts named '
            f'{out + ".shard*of*"!r}, expected those of one number of parts; '
            'give the name without .shard, and move others away.')
    count, = counts
    paths = [Shard(i, count).path(out) for i in range(1, count + 1)]
    missing = [path for path in paths if path not in found]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {count} shards are missing, the first being '
            f'{missing[0]!r}; make them before merging.')
    return paths


def _join(files: Sequence[ProposalFile]) -> Iterator[Proposals]:
    for file in files:
        for i in range(len(file)):
            yield file[i]


def _join_reports(reports: Sequence[dict]) -> dict:
    joined = dict(reports[0])
    joined['job'] = dict(joined['job'], shard=str(WHOLE))
    for key in ('images', 'written', 'boxes', 'skipped', 'without_proposals'):
        parts = [report[key] for report in reports]
        joined[key] = sum(parts, type(parts[0])())
    return joined
