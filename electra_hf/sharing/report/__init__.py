"""One page about one or more runs.

`runs` reads their folders, `figures` says what there is to draw, `facts` what there is to say, `content` puts both
together, and `page` writes HTML around it. `server` serves it while a run goes on, `terminal` is the same for a
terminal, and `pictures` draws PNGs.
"""
