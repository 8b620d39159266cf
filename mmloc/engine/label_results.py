# Copyright (c) mmloc contributors. All rights reserved.
"""What the cells of a label study gave."""
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from mmloc.utils.files import atomic_write


def read_scores(folder: Path) -> dict | None:
    """Read the evaluation of a training.

    Args:
        folder (Path): Its work folder.

    Returns:
        dict, optional: All scores of the last evaluation, None if there was
        none.
    """
    found = None
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            scores = {k: v for k, v in json.loads(line).items() if '/' in k}
            found = scores or found
    return found


def check_scores(scores: dict | None, metric: str, folder: Path) -> dict:
    """Refuse an evaluation without the score that is compared.

    Args:
        scores (dict, optional): Of :func:`read_scores`.
        metric (str): Name of the score, such as 'coco/bbox_mAP'.
        folder (Path): Where the scores are from.

    Returns:
        dict: The scores.

    Raises:
        ValueError: If they lack the metric.
    """
    if not scores or metric not in scores:
        raise ValueError(
            f'the evaluation in {str(folder)!r} has no {metric!r}, but '
            f'{", ".join(scores or ["no scores"])}; choose one by --metric')
    return scores


def group_scores(results: Sequence[dict], metric: str) -> dict:
    """Sort the scores of all cells.

    Args:
        results (Sequence[dict]): Of each cell ``start``, ``images``, ``seed``
            and its scores.
        metric (str): Name of a score: a share, from 0 to 1, except for those
            of mmpretrain, 'accuracy/...', which are percents.

    Returns:
        dict[str, dict[int, dict[int, float]]]: Start -> number of images ->
        seed -> score in percent.
    """
    unit = 1 if metric.startswith('accuracy/') else 100
    scores: dict = {}
    for result in results:
        seeds = scores.setdefault(result['start'], {}).setdefault(
            result['images'], {})
        seeds[result['seed']] = round(unit * result[metric], 3)
    return scores


def label_table(scores: Mapping) -> str:
    """Put scores into a table, and differences between starts.

    Args:
        scores (Mapping): Of :func:`group_scores`.

    Returns:
        str: Markdown. A line for each start: the mean over the seeds, and the
        lowest and highest score. A line for each start but the first: how
        far it is ahead of the first, seed by seed, likewise, and in how many
        of the seeds that both have.
    """
    counts = sorted({n for images in scores.values() for n in images})
    rows = [['labelled images', *(f'{n:,}' for n in counts)],
            ['---'] * (len(counts) + 1)]
    for start, images in scores.items():
        rows.append([start] + [
            _describe(images.get(n, {}).values(), '.1f') for n in counts])
    first, *others = scores
    for start in others:
        row = [f'{start} - {first}']
        for n in counts:
            ours, theirs = (scores[x].get(n, {}) for x in (start, first))
            ahead = [ours[seed] - theirs[seed]
                     for seed in ours if seed in theirs]
            text = _describe(ahead, '+.1f')
            if ahead:
                text += f', ahead in {sum(x > 0 for x in ahead)}'
                text += f' of {len(ahead)}'
            row.append(text)
        rows.append(row)
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows) + '\n'


def _describe(values, digits: str) -> str:
    values = list(values)
    if not values:
        return 'not run'
    # Added to, no number is -0.0.
    middle, low, high = (
        round(x, 1) + 0. for x in (mean(values), min(values), max(values)))
    return f'{middle:{digits}} ({low:{digits}} to {high:{digits}})'


def write_csv(path: str, results: Sequence[dict]) -> None:
    """Write the results of all cells as a table.

    Args:
        path (str): The file, replaced if it is there.
        results (Sequence[dict]): One dict for each cell.
    """
    fields = list(dict.fromkeys(key for row in results for key in row))
    with atomic_write(path, True, 'w') as file:
        writer = csv.DictWriter(file, fields, lineterminator='\n')
        writer.writeheader()
        writer.writerows(results)
