# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

#: The gravest first. What is 'wrong' ends the tool whatever is asked for; a
#: 'broken' part can be left out; a 'warning' explains, a 'note' informs.
LEVELS = {'wrong': 'bold red', 'broken': 'red', 'warning': 'yellow',
          'note': 'dim'}
_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """Something that a user should know about a data set.

    Args:
        level (str): One of :data:`LEVELS`.
        text (str): What was found.
        advice (str): What to do about it, or what is done.
        count (int): How often. Defaults to 1.
        examples (tuple[str]): Where, the first few.
    """
    level: str
    text: str
    advice: str
    count: int = 1
    examples: tuple[str, ...] = ()


class Findings(list):
    """Findings in the order in which they were made."""

    def add(self,
            level: str,
            text: str,
            advice: str,
            places: Sequence[str] | None = None) -> None:
        """Add a finding, unless it was made in no place.

        Args:
            level (str): One of :data:`LEVELS`.
            text (str): What was found.
            advice (str): What to do about it, or what is done.
            places (Sequence[str], optional): Where. Defaults to None, for
                what concerns the set as a whole.
        """
        if places is None:
            self.append(Finding(level, text, advice))
        elif places:
            self.append(
                Finding(level, text, advice, len(places),
                        tuple(map(str, places[:_NUM_EXAMPLES]))))

    def count(self, *levels: str) -> int:
        """Count findings.

        Args:
            *levels (str): Of which levels.

        Returns:
            int: How many.
        """
        return sum(finding.level in levels for finding in self)

    def table(self) -> Table:
        """Lay the findings out, the gravest first.

        Returns:
            Table: A row for each.
        """
        table = Table('', 'n', 'found', 'what to do', show_lines=True)
        order = list(LEVELS)
        for finding in sorted(self, key=lambda f: order.index(f.level)):
            found = Text(finding.text)
            if finding.examples:
                more = ', ...' * (finding.count > len(finding.examples))
                found.append('\n' + ', '.join(finding.examples) + more,
                             style='dim')
            table.add_row(
                Text(finding.level, style=LEVELS[finding.level]),
                str(finding.count), found, Text(finding.advice))
        return table
