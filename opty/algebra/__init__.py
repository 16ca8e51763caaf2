"""The algebra: recipes as values. Nothing here runs anything; ``opty.runtime`` does.

operator.py         Operator, ViewOperator, Recipe, Identity; ``*`` and ``**``; the registry of names
value.py            Value: what operators and elements of a model share; value_class.py: its metaclass
parameters.py       types and values of parameters
leaf.py             Leaf: the declaration of an array
protocols.py        what an operator may use: the state ``s``, the views ``b``
compose.py          Compose and Repeat, flat and normalised
control.py          Every, After, Before, Until
sweep.py            Sweep, the one loop over views
text.py             repr, ``parse``, JSON (syntax.py: Python's syntax in words)
kept_recipes.py     recipes out of result files; unknown.py: stands for an operator whose class is missing
"""
