"""A page in the browser that shows a run while it computes, or a finished result.

serve_operator.py  Serve: the step of a recipe that shows the state and does what viewers ask for
shown.py           a run on a page: what its status says
board.py           what the run and the threads of the server share
budget.py          how often pictures are taken, so that they cost little of the run
snapshot.py        copies of object, probe and positions, and the parts of them that viewers ask for
progress.py        iterations done and planned, rate, time left
server.py          the HTTP server: token, addresses, answers
document.py        the page as one document; page/: its HTML, style and scripts
result.py          the same page for a result file
"""
