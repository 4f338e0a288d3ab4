"""Make experiments/README.md from every claims.json: ``python experiments/index.py``.

With ``--check`` nothing is written; the exit status says whether the page is up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEYS = ("claim", "source", "target", "value", "low", "high", "verdict")
VERDICTS = ("met", "reproduced", "partly", "short", "refuted")

HEAD = """# Experiments

One folder a claim: the configuration or recipe, `results.csv` (what the figure draws), the figure,
a README with the one command that makes it again, and `claims.json`. This page is made from the
claims by `python experiments/index.py`; the values in them are computed from the results by the
experiment's command, never typed in.

Verdicts: **met** (a target set beforehand), **reproduced** (somebody's published figure),
**partly**, **short** (missed), **refuted**.
"""


def read_claims(path: Path) -> list[dict]:
    """The claims of one folder, checked.

    Raises
    ------
    ValueError
        A claim lacks a key or has a verdict that is none.
    """
    claims = json.loads(path.read_text())
    for number, claim in enumerate(claims):
        where = f"{path.parent.name}/{path.name}[{number}]"
        missing = [key for key in KEYS if key not in claim]
        if missing:
            raise ValueError(f"{where} lacks {', '.join(missing)}")
        if claim["verdict"] not in VERDICTS:
            raise ValueError(f"{where}: {claim['verdict']!r} is not one of {', '.join(VERDICTS)}")
    return claims


def number(value: object) -> str:
    """A figure for the table; text stays text, nothing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def page(root: Path = HERE) -> str:
    """The whole text of experiments/README.md."""
    parts = [HEAD]
    for path in sorted(root.rglob("claims.json")):
        folder = path.parent.relative_to(root).as_posix()
        parts.append(f"\n## [{folder}]({folder}/README.md)\n")
        parts.append("| claim | target | value | 95 % interval | verdict | source |")
        parts.append("| --- | --- | --- | --- | --- | --- |")
        for claim in read_claims(path):
            bounds = (claim["low"], claim["high"])
            interval = "-" if None in bounds else " to ".join(map(number, bounds))
            cells = [
                claim["claim"],
                claim["target"],
                claim["value"],
                interval,
                f"**{claim['verdict']}**",
                claim["source"],
            ]
            parts.append("| " + " | ".join(map(number, cells)) + " |")
    return "\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    readme = HERE / "README.md"
    text = page()
    if "--check" in arguments:
        return 0 if readme.exists() and readme.read_text() == text else 1
    readme.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
