# Copyright (c) mmloc contributors. All rights reserved.
import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from .drawing import JPEG_OPTIONS

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --ink: #1d2430; --dim: #5a6473; --ground: #f6f7f9; --card: #fff;
  --line: #d9dde3; --accent: #0072b2; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e9ee; --dim: #9aa4b2; --ground: #14181e;
    --card: #1c222b; --line: #323b48; --accent: #56b4e9; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }}
main {{ max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.25rem; }}
section {{ background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 1.1rem 1.4rem; margin: 1.25rem 0; }}
h2 {{ font-size: 1.2rem; margin: 0 0 .6rem; color: var(--accent); }}
p {{ margin: .5rem 0; max-width: 75ch; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .75rem 0; min-width: 40%; }}
th, td {{ padding: .4rem .9rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }}
th {{ color: var(--dim); font-weight: 600; font-size: .9rem; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
figure {{ margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; border-radius: 6px; background: #fff;
  display: block; }}
figcaption {{ color: var(--dim); font-size: .9rem; margin-top: .4rem;
  max-width: 85ch; }}
pre {{ overflow-x: auto; padding: .8rem 1rem; border-radius: 6px;
  border: 1px solid var(--line); background: var(--ground);
  font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }}
</style>
</head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""


class Report:
    """A self-contained HTML page: pictures inside, nothing from the network.

    The methods add to the page in the order of the calls and return the
    report; text is escaped. :meth:`section` begins a new card.

    Args:
        title (str): Title of the page.

    Examples:
        >>> report = Report('A run')
        >>> report.section('Result').table(('start', 'AP'), [('InsLoc', 31.2)])
        >>> report.figure(image, 'What the detector found.')
        >>> report.write('report.html')
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []
        self._in_section = False

    def section(self, title: str) -> 'Report':
        """Begin a card.

        Args:
            title (str): Its heading.

        Returns:
            Report: The report.
        """
        end = '</section>\n' if self._in_section else ''
        self._in_section = True
        return self._add(f'{end}<section>\n<h2>{escape(title)}</h2>')

    def text(self, text: str) -> 'Report':
        """Add paragraphs.

        Args:
            text (str): Plain text; an empty line parts two paragraphs, and
                '' adds nothing.

        Returns:
            Report: The report.
        """
        return self._add('\n'.join(
            f'<p>{escape(part.strip())}</p>' for part in text.split('\n\n')
            if part.strip()))

    def code(self, text: str) -> 'Report':
        """Add text as it is, such as commands.

        Args:
            text (str): Lines of text.

        Returns:
            Report: The report.
        """
        return self._add(f'<pre>{escape(text.strip())}</pre>')

    def table(self, header: Sequence[str],
              rows: Iterable[Sequence]) -> 'Report':
        """Add a table. Columns that hold numbers are aligned right.

        Args:
            header (Sequence[str]): A title for each column.
            rows (Iterable[Sequence]): Cells; a float is shown with one
                decimal, give a str for another form.

        Returns:
            Report: The report.

        Raises:
            ValueError: A row has more or fewer cells than the header.
        """
        rows = [list(row) for row in rows]
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f'The row {row} has {len(row)} cells, '
                                 f'expected {len(header)}: {list(header)}.')
        numeric = [
            bool(rows) and all(_is_number(row[i]) for row in rows)
            for i in range(len(header))
        ]
        lines = [_table_row('th', header, numeric)]
        lines += [_table_row('td', row, numeric) for row in rows]
        body = '\n'.join(lines)
        return self._add(
            f'<div class="scroll"><table>\n{body}\n</table></div>')

    def figure(self,
               image: np.ndarray,
               caption: str = '',
               photo: bool = False) -> 'Report':
        """Add a picture.

        Args:
            image (np.ndarray): (H, W, 3), uint8, BGR.
            caption (str): What it shows. Defaults to ''.
            photo (bool): Whether to store a JPEG, for photographs, in place
                of a PNG. Defaults to False.

        Returns:
            Report: The report.
        """
        kind, options = ('jpeg', JPEG_OPTIONS) if photo else ('png', [])
        _, data = cv2.imencode(f'.{kind}', image, options)
        data = base64.b64encode(data).decode()
        text = escape(caption)
        return self._add(
            f'<figure><img alt="{text}" src="data:image/{kind};base64,{data}">'
            f'<figcaption>{text}</figcaption></figure>')

    def write(self, path: str) -> str:
        """Write the page.

        Args:
            path (str): The file; its folder is made if needed.

        Returns:
            str: The absolute path.
        """
        body = '\n'.join(self._parts)
        if self._in_section:
            body += '\n</section>'
        target = Path(path).expanduser().absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            _PAGE.format(title=escape(self.title), body=body),
            encoding='utf-8')
        return str(target)

    def _add(self, part: str) -> 'Report':
        self._parts.append(part)
        return self


def _table_row(tag: str, cells: Sequence, numeric: list) -> str:
    """Format a row; cells of numeric columns get a class."""
    texts = [f'{c:.1f}' if isinstance(c, float) else str(c) for c in cells]
    return '<tr>' + ''.join(
        f'<{tag}{" class=number" if right else ""}>{escape(text)}</{tag}>'
        for text, right in zip(texts, numeric)) + '</tr>'


def _is_number(cell) -> bool:
    """Whether a cell is a number, or a text that begins like one."""
    if isinstance(cell, str):
        return cell[:1].isdigit() or cell[:2].lstrip('+-').isdigit()
    return isinstance(cell, (int, float))
