"""How fast the engine is: a module for each kind of work.

Each kind yields figures: the CPU time of one operation, and the same as a multiple of one turn
of a plain Python loop in the same run.  The multiple can be compared across machines.

Ours.
"""
