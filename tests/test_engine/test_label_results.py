# Copyright (c) mmloc contributors. All rights reserved.
"""Tables of a study of starts on fewer and fewer labels."""
import csv
import json

import pytest

from mmloc.engine import label_results

METRIC = 'coco/bbox_mAP'


def result(start, images, seed, score):
    return {'start': start, 'images': images, 'seed': seed, METRIC: score}


RESULTS = [
    result('scratch', 10, 0, 0.01), result('scratch', 10, 1, 0.03),
    result('scratch', 1000, 0, 0.3), result('mine', 10, 0, 0.02),
    result('mine', 10, 1, 0.025), result('mine', 10, 2, 0.9)]


def test_table_compares_the_seeds_that_both_have():
    scores = label_results.group_scores(RESULTS, METRIC)
    assert label_results.label_table(scores).splitlines() == [
        '| labelled images | 10 | 1,000 |',
        '| --- | --- | --- |',
        '| scratch | 2.0 (1.0 to 3.0) | 30.0 (30.0 to 30.0) |',
        '| mine | 31.5 (2.0 to 90.0) | not run |',
        '| mine - scratch | +0.2 (-0.5 to +1.0), ahead in 1 of 2 | not run |']


def test_nothing_has_no_sign():
    scores = {'a': {10: {0: 1.0}}, 'b': {10: {0: 0.96}}}
    assert '| b - a | +0.0 (+0.0 to +0.0), ahead in 0 of 1 |' in (
        label_results.label_table(scores))


def test_percents_of_a_classifier_stay():
    row = {'start': 'a', 'images': 1, 'seed': 0, 'accuracy/top1': 0.5}
    assert label_results.group_scores([row], 'accuracy/top1') == {
        'a': {1: {0: 0.5}}}


def test_csv_has_all_scores(tmp_path):
    rows = [dict(RESULTS[0]), dict(RESULTS[1], more=1)]
    for _ in range(2):  # replaced
        label_results.write_csv(str(tmp_path / 'cells.csv'), rows)
    with open(tmp_path / 'cells.csv') as file:
        found = list(csv.DictReader(file))
    assert [row['more'] for row in found] == ['', '1']
    assert [row[METRIC] for row in found] == ['0.01', '0.03']


def test_the_last_evaluation_counts(tmp_path):
    assert label_results.read_scores(tmp_path) is None
    for name, lines in (('1', [{METRIC: 0.1, 'step': 1}]),
                        ('2', [{'loss': 3., 'step': 5},
                               {METRIC: 0.2, 'time': 1., 'step': 2}]),
                        ('3', [{'loss': 2., 'step': 6}])):
        log = tmp_path / name / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    scores = label_results.read_scores(tmp_path)
    assert scores == {METRIC: 0.2}
    assert label_results.check_scores(scores, METRIC, tmp_path) is scores
    for found in (scores, None):
        with pytest.raises(ValueError, match="has no 'coco/segm_mAP'"):
            label_results.check_scores(found, 'coco/segm_mAP', tmp_path)
