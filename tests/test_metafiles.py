# Copyright (c) mmloc contributors. All rights reserved.
"""Tests of metafiles, model-index and READMEs against the configs."""
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / 'model-index.yml'
METAFILES = sorted(ROOT.glob('configs/*/metafile.yml'))
FOLDERS = sorted(path for path in ROOT.glob('configs/*')
                 if path.is_dir() and not path.name.startswith('_'))


def read(path):
    """Read a YAML file."""
    return yaml.safe_load(path.read_text())


def configs_of(folder):
    """List the configs of a folder that are meant to be run."""
    return sorted(path for path in folder.rglob('*.py')
                  if '_base_' not in path.parts)


def check_result(result, readme):
    """A number, or why there is none; published ones have a source."""
    assert {'Task', 'Dataset', 'Metrics'} <= set(result)
    for value in result['Metrics'].values():
        assert isinstance(value, float) or value in (
            'not run', 'see docs/toy_benchmark.md')
    published = dict(result.get('Published') or {})
    if published:
        assert published.pop('Source')
        assert published.keys() == result['Metrics'].keys()
        numbers = re.findall(r'\d+\.\d', readme)
        assert {str(value) for value in published.values()} <= {*numbers}


def test_model_index_imports_every_metafile():
    wanted = [path.relative_to(ROOT).as_posix() for path in METAFILES]
    assert sorted(read(INDEX)['Import']) == wanted
    # Protocols are no models: their results stand with what they start from.
    assert [path.parent for path in METAFILES] == [
        folder for folder in FOLDERS if folder.name != 'transfer']


@pytest.mark.parametrize('path', METAFILES, ids=lambda p: p.parent.name)
def test_metafile(path):
    meta = read(path)
    collections = {entry['Name']: entry for entry in meta['Collections']}
    for entry in collections.values():
        assert (ROOT / entry['README']).is_file()
        assert entry['Paper']['Title']
        assert entry['Paper']['URL'].startswith('https://')
    names = [entry['Name'] for entry in meta['Models']]
    assert len(names) == len(set(names))
    for entry in meta['Models']:
        assert entry['In Collection'] in collections
        assert entry['Name'] == Path(entry['Config']).stem
        readme = (path.parent / 'README.md').read_text() + (
            path.parent / 'downstream' / 'README.md').read_text()
        for result in entry['Results'] or []:
            check_result(result, readme)
        # What has no results says why.
        assert (entry['Results'] is None) == ('Status' in entry)
    listed = {ROOT / entry['Config'] for entry in meta['Models']}
    assert listed == set(configs_of(path.parent))


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda p: p.name)
def test_readme_mentions_every_config(folder):
    readme = (folder / 'README.md').read_text()
    missing = [path.name for path in configs_of(folder)
               if path.stem not in readme]
    assert missing == []


@pytest.mark.parametrize('pattern', [
    'README.md', 'CHANGELOG.md', 'docs/**/*.md', 'configs/**/*.md'])
def test_links_lead_somewhere(pattern):
    broken = []
    for path in ROOT.glob(pattern):
        for target in re.findall(r'\]\(([^)#\s]+)', path.read_text()):
            if not re.match(r'\w+:', target):
                if not (path.parent / target).exists():
                    broken.append(f'{path.relative_to(ROOT)}: {target}')
    assert broken == []


def test_no_paths_of_somebodys_machine():
    """Files that others use must not point into a home or a work folder."""
    found = []
    for pattern in ('configs/**/*', 'mmloc/**/*.py', 'tools/**/*', '*.md',
                    'docs/**/*.md', '*.yml', 'tests/**/*.py'):
        for path in ROOT.glob(pattern):
            if path.suffix in {'.py', '.md', '.yml', '.sh', '.json'}:
                for line in path.read_text().splitlines():
                    if re.search(r'(?<![\w.~$}])/(home|root|work|Users)/\w',
                                 line):
                        found.append(f'{path.relative_to(ROOT)}: {line}')
    assert found == []
