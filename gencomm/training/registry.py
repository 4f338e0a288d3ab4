"""Recipes by name, none imported until used.

A learned codec's folder in `gencomm/codecs` that holds a ``recipe.py`` is listed by its name; the
module's ``recipe`` makes the recipe. Recipes of networks that are no codec of their own take a
line in `FURTHER`; other packages offer theirs in the entry-point group ``gencomm.recipes``.
"""

from __future__ import annotations

from pathlib import Path

import gencomm.codecs
from channels.registry import Registry
from channels.spec import Spec, parse_spec

#: Name to "module:object" of recipes that stand elsewhere.
FURTHER: dict[str, str] = {}


def _of_codecs() -> dict[str, str]:
    """Recipes beside codecs, found by their files alone."""
    found = Path(str(gencomm.codecs.__path__[0])).glob("*/recipe.py")
    names = sorted(path.parent.name for path in found)
    return {name: f"gencomm.codecs.{name}.recipe:recipe" for name in names}


RECIPES = Registry("gencomm.recipes", _of_codecs() | FURTHER, "recipe")


def recipe_spec(text: str, options: dict[str, str]) -> Spec:
    """A recipe such as ``cae`` or ``cae(distortion=ms_ssim)``, and options put to it."""
    spec = parse_spec(text)
    if not options:
        return spec
    more = parse_spec(f"{spec.name}({', '.join(f'{k}={v}' for k, v in options.items())})")
    return parse_spec(str(Spec(spec.name, spec.args, spec.kwargs + more.kwargs)))
