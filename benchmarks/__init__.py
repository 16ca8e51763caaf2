"""Benchmarks of opty.

python -m benchmarks COMMAND, how fast:

__main__.py    the commands: run, peers, compare, same, docs
cases.py       what is timed: engine x scan x positions
scans.py       the scans: A and B, made of two pictures, and simulated ones
sweep.py       one case measured: a sweep and its bare Fourier transforms by turns, and memory
bare.py        the Fourier transforms of a sweep, counted and timed alone
speed.py       run: the cases one after the other
peer_speed.py  peers: other packages by turns with opty; what runs in their environments is in peers/
compare.py     compare: two result files side by side
docs.py        docs: the tables of docs/speed.md

same/          same: does another revision compute the same?

python -m benchmarks.NAME, how good:

engines.py    engine x scan x (iterations, object error, misfit, seconds), on scans A and B and the real data
positions.py  the study of position refinement; position_pictures.py draws it
paper_positions.py  Figs. S9 to S14 of Guzzi et al. 2022 in the near field and far, with several seeds
paper_pynx.py, paper_ptypy.py  Guzzi et al. 2022 beside the real PyNX and PtyPy
auto.py       opty.auto beside the best of sixty recipes (recipe_list.py), on scans drawn by seed (drawn_scans.py)
first_line.py  the first line of the README, and auto, beside the best of twenty recipes from the best start
wrong_scans.py  what check and verdicts say of scans drawn by seed, right ones and with one thing wrong
remedies.py    the remedies that check names: does each improve the result?
kill.py       a checkpointing run killed again and again: is anything lost?
interop.py    other packages: who reads whose files; what runs in their environments is in peers/
interop_models.py  their results with several slices or a varying probe: the misfit there and in opty
detectors.py  files of detectors: what other readers find in them; detector_files.py writes them
passes.py     what kernels read and write in a sweep, by model, beside the transforms
thick.py      two slices: error against CPU time, by engine
mixtures.py   an object of two states, and of one in the model: error, modulo the mix, and misfit, by engine
streaming.py  data larger than memory: what is resident, and what reading costs

environments.py  an environment for each of the other packages
record.py        rows into the result file of the day
results/         what was measured, by date
"""
