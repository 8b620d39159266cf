# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmloc.datasets import near_duplicates
from mmloc.datasets.fingerprints import (
    SIZE,
    WINDOWS,
    compute_fingerprints,
    fingerprint,
    read_gray,
    view_fingerprints,
    window_matrix,
)
from mmloc.datasets.near_duplicates import (
    Pair,
    aligned_similarity,
    find_near_duplicates,
)
from mmloc.datasets.proposal_job import ImageNames


def scene(seed, height=120, width=160):
    """Noise of every scale, as strong as in photographs; colours, too."""
    rng = np.random.default_rng(seed)
    image = sum(
        cv2.resize(rng.normal(size=(n, n, 3)), (width, height),
                   interpolation=cv2.INTER_CUBIC) / n for n in (3, 6, 12, 40))
    return np.uint8(cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX))


def cut(image, left, top, right, bottom):
    height, width = image.shape[:2]
    return image[round(top * height):round(bottom * height),
                 round(left * width):round(right * width)]


def captioned(image):
    image = cv2.copyMakeBorder(image, 0, 10, 0, 0, cv2.BORDER_CONSTANT,
                               value=(255, 255, 255))
    return cv2.putText(image, 'stock photo 123', (20, len(image) - 2),
                       cv2.FONT_HERSHEY_SIMPLEX, 0.3, (0, 0, 0))


ALTERED = {
    'same': lambda x: x,
    'smaller': lambda x: cv2.resize(x, (70, 52)),
    'square': lambda x: cv2.resize(x, (100, 100)),
    'cut': lambda x: cut(x, .05, .05, .95, .95),
    'corner': lambda x: cut(x, .1, 0, 1, .9),
    'bright': lambda x: cv2.convertScaleAbs(x, alpha=1.1, beta=20),
    'dark': lambda x: cv2.convertScaleAbs(x, alpha=.6),
    'grey': lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2GRAY),
    'mirrored': lambda x: cv2.flip(x, 1),
    'framed': lambda x: cv2.copyMakeBorder(
        x, 12, 12, 12, 12, cv2.BORDER_CONSTANT),
    'captioned': captioned,
}


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Scenes, and one altered copy of each among others."""
    root = tmp_path_factory.mktemp('copies')
    for folder in ('source', 'split'):
        (root / folder).mkdir()
    for seed, (name, alter) in enumerate(ALTERED.items()):
        cv2.imwrite(str(root / 'source' / f'{name}.png'), scene(seed))
        for other, image in (('', alter(scene(seed))),
                             ('other_', captioned(scene(100 + seed)))):
            cv2.imwrite(str(root / 'split' / f'{other}{name}.jpg'), image,
                        [cv2.IMWRITE_JPEG_QUALITY, 90])
    cv2.imwrite(str(root / 'split' / 'plain.png'),
                np.full((50, 50), 9, np.uint8))
    (root / 'split' / 'empty.jpg').touch()
    return root


@pytest.mark.parametrize(('source', 'split', 'missed'), [
    ('source', 'split', set()),
    # A caption in the source is a known limit.
    pytest.param('split', 'source', {'captioned'},
                 marks=pytest.mark.slow)])
def test_every_altered_copy_and_nothing_else(folders, source, split, missed):
    found = find_near_duplicates(
        ImageNames.read(str(folders / source)),
        ImageNames.read(str(folders / split)), workers=2)
    assert {p.image.split('.')[0] for p in found.pairs} == {
        *ALTERED} - missed
    assert all(p.image.split('.')[0] == p.source.split('.')[0]
               for p in found.pairs)
    assert [p.image.split('.')[0] for p in found.pairs if p.mirrored] == [
        'mirrored']
    similarities = [p.similarity for p in found.pairs]
    assert similarities == sorted(similarities, reverse=True)
    assert found.pairs[0].distance < 0.1
    assert found.unreadable == {
        str(folders / 'split' / 'empty.jpg'): 'is empty (0 bytes)'}


def test_within_a_source_each_pair_once(tmp_path):
    for name, seed in (('a', 1), ('b', 2), ('c', 1), ('d', 3)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), scene(seed))
    found = find_near_duplicates(ImageNames.read(str(tmp_path)), workers=1)
    assert found.pairs == [Pair('a.png', 'c.png', 1.0, False)]


def test_goes_on_from_what_is_kept(tmp_path, monkeypatch):
    names = [f'{seed}.png' for seed in range(4)]
    (tmp_path / 'set').mkdir()
    for seed, name in enumerate(names):
        cv2.imwrite(str(tmp_path / 'set' / name), scene(seed))
    damaged = tmp_path / 'set' / '2.png'
    whole = damaged.read_bytes()
    damaged.write_bytes(b'')
    images, cache = ImageNames.read(str(tmp_path / 'set')), str(
        tmp_path / 'cache')
    first = compute_fingerprints(images, cache, workers=1)
    assert first.unreadable == {'2.png': 'is empty (0 bytes)'}
    assert not first.vectors[2].any()
    damaged.write_bytes(whole)
    done = []

    def track(items, total, description):
        done.append(total)
        return items

    second = compute_fingerprints(images, cache, workers=1, track=track)
    assert done == [1]  # the others are kept
    assert second.unreadable == {}
    np.testing.assert_array_equal(second.vectors[[0, 1, 3]],
                                  first.vectors[[0, 1, 3]])
    np.testing.assert_allclose(
        np.linalg.norm(second.vectors.astype(float), axis=1), 1, atol=1e-3)
    compute_fingerprints(images, cache, True, workers=1, track=track)
    assert done == [1, 4]


def test_few_candidates_of_an_image_are_the_best(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(300, SIZE))
    vectors[:, 0] += 12  # all alike, so all are candidates
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[7]
    monkeypatch.setattr(near_duplicates, '_VECTORS', 64)
    search = near_duplicates._Search(
        vectors.astype(np.float16), query.astype(np.float16)[None, None],
        False)
    scores = vectors @ query
    best = np.argsort(-scores)[:near_duplicates._MOST]
    assert (np.sort(scores)[:-1] < near_duplicates._SURE).all()
    assert [place for _, place, _ in search(0)] == best.tolist()


def test_fingerprints():
    gray = cv2.cvtColor(scene(5), cv2.COLOR_BGR2GRAY)
    views = view_fingerprints(gray)
    assert views.shape == (2 * len(WINDOWS), SIZE)
    assert views[0] @ fingerprint(gray) > 0.99
    assert views[len(WINDOWS)] @ fingerprint(cv2.flip(gray, 1)) > 0.99
    for number, window in list(enumerate(WINDOWS))[1:6]:
        part = cut(gray, *window)
        assert views[number] @ fingerprint(part) > 0.95
        # The image is such a window of a larger one.
        larger = view_fingerprints(part)[number + 5]
        assert larger @ fingerprint(gray) > larger @ fingerprint(part)
    assert not fingerprint(np.full((40, 40), 200, np.uint8)).any()
    np.testing.assert_allclose(
        window_matrix((0.25, 0., 0.75, 1.), 8) @ [[0], [0], [1]], [[1.75],
                                                                   [0]])


def test_similarity():
    first, second = (cv2.cvtColor(scene(seed), cv2.COLOR_BGR2GRAY)
                     for seed in (1, 2))
    assert aligned_similarity(first, first) == pytest.approx(1)
    assert aligned_similarity(first, second) < 0.3
    turned = cv2.warpAffine(
        first, cv2.getRotationMatrix2D((80, 60), 3, 1), (160, 120),
        borderMode=cv2.BORDER_REFLECT)
    assert aligned_similarity(first, turned) > 0.8
    assert aligned_similarity(first, np.full((90, 90), 7, np.uint8)) < 0.1


def test_bars_are_cut_off(tmp_path):
    image = cv2.copyMakeBorder(scene(3), 10, 20, 30, 0, cv2.BORDER_CONSTANT)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert read_gray(str(tmp_path / 'a.png')).shape == (120, 160)
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((20, 30), np.uint8))
    assert read_gray(str(tmp_path / 'a.png')).shape == (20, 30)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(min_similarity=0), 'min_similarity is 0, expected'),
    (dict(workers=0), 'workers is 0, expected 1'),
])
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        find_near_duplicates(ImageNames('', ['a'], 0), **options)
