"""Do two revisions of opty compute the same, and how fast is either?  ``python -m benchmarks same REV``

recipes.py  what is run: 14 recipes with every parameter written out; differences that are meant
starts.py   scans A, B and P25 as arrays that either revision starts from
trees.py    the other revision beside this one, and a worker process in each
worker.py   runs inside: recipes with whichever opty is there
compare.py  two results: equal bits, powers of two, largest differences
command.py  rows and the table
"""
