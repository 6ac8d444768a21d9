"""One page about one or more runs: `runs` reads their folders, `figures` says what there is to draw, `page` writes HTML
around it, `server` serves it while a run goes on, and `terminal` is the same for a terminal. `pictures` draws PNGs."""
