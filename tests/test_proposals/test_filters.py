# Copyright (c) mmloc contributors. All rights reserved.
import json
from dataclasses import asdict

import numpy as np
import pytest

from mmloc.proposals import BoxRule, filter_proposals, parse_rule

# Of an image of 100 x 100 pixels: width and height are the numbers.
SIDES = dict(
    exact=(32, 32), narrow=(31, 60), low=(60, 31.5), long=(99, 33),
    too_long=(99, 32.9), large=(80, 80), too_large=(81, 80))
BOXES = np.float32([[1, 2, 1 + w, 2 + h] for w, h in SIDES.values()])


def kept(rule, names=SIDES, size=(100, 100)):
    boxes = BOXES[[list(SIDES).index(name) for name in names]]
    result = filter_proposals(boxes, *size, rule)
    return [list(SIDES)[(BOXES == box).all(1).argmax()] for box in result]


def test_named_rules_include_their_limits():
    assert kept('none') == ['exact', 'long', 'too_long', 'large', 'too_large']
    assert kept('ratio3') == ['exact', 'long', 'large', 'too_large']
    assert kept('ratio3size0308') == ['exact', 'long', 'large']
    assert kept('ratio3size0008') == ['exact', 'long', 'large']
    assert kept('ratio2.5size0810') == ['large', 'too_large']


@pytest.mark.parametrize(('names', 'expected'), [
    (SIDES, ['exact', 'long', 'large']),
    (['narrow', 'too_long', 'too_large'], ['too_large']),
    (['narrow', 'too_long'], ['too_long']),
    (['narrow', 'low'], []),
    ([], []),
])
def test_fallbacks(names, expected):
    assert kept('ratio3size0308post', names) == expected


def test_size_is_relative_to_the_image():
    assert kept('ratio3size0308', size=(200, 300)) == ['large', 'too_large']


def test_numbers():
    assert kept(dict(min_side=60, max_ratio=1)) == ['large']
    assert kept([dict(min_side=90), dict(min_side=80)]) == [
        'large', 'too_large']
    assert parse_rule('ratio3size0308') == (
        BoxRule(min_side=32, max_ratio=3, min_size=0.3, max_size=0.8), )


def test_equal_rules_are_equal():
    assert parse_rule('ratio3') == parse_rule(
        dict(max_ratio=np.int64(3), min_side=32.0, max_size=None))
    assert repr(BoxRule(min_side=np.float64(8), min_size=-0.0)) == repr(
        BoxRule(min_side=8, min_size=0))
    assert json.dumps(asdict(BoxRule(max_ratio=np.float32(2))),
                      allow_nan=False)


def test_boxes_without_area():
    boxes = np.float32([[5, 5, 5, 5], [5, 5, 5, 9], [5, 5, 9, 5]])
    assert len(filter_proposals(boxes, 10, 10, dict(min_side=0))) == 3
    assert len(filter_proposals(
        boxes, 10, 10, dict(min_side=0, max_ratio=3))) == 0


@pytest.mark.parametrize(('rule', 'said'), [
    ('ratio', "'ratio'"),
    ('ratio3size38', 'ratio3size38'),
    ('nonepost', 'nonepost'),
    ('ratio0.5', 'max_ratio is 0.5'),
    ('ratio3size0803', 'min_size is 0.8'),
    (dict(side=3), 'side'),
    (dict(min_side=-1), 'min_side is -1'),
    (dict(min_side='9'), "min_side is '9'"),
    (dict(min_side=None), 'min_side is None'),
    (dict(min_side=True), 'min_side is True'),
    (dict(max_ratio=float('nan')), 'max_ratio is nan'),
    (dict(max_size=float('inf')), 'max_size is inf'),
    (['ratio3'], "['ratio3']"),
    (3, 'rule is 3'),
    ([], 'empty list'),
])
def test_mistakes(rule, said):
    with pytest.raises(ValueError, match='expected') as error:
        parse_rule(rule)
    assert said in str(error.value)
