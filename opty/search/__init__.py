"""Recipes chosen by what they predict of pixels that they have not seen.

recipes.py    search(recipes, p): the recipes that you name
auto.py       auto(data): from a raw scan to a recipe and its result
choice.py     the best plan: changes tried by turns, while there is time
plan.py       what auto varies, and in which steps
repair.py     broken pixels and frames
start.py      the starting probe, and the way round of the positions
part.py       the part of a scan on which recipes are tried
scale.py      whether the positions are stretched
trial.py      one recipe, run and scored
judgement.py  is the result right?
"""

from opty.search.auto import Auto, auto
from opty.search.judgement import Verdict
from opty.search.recipes import Search, search
from opty.search.trial import Trial

__all__ = ["Auto", "Search", "Trial", "Verdict", "auto", "search"]
