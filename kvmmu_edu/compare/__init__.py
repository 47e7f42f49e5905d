"""A recording of the real kernel and a run of the model, side by side.

Three measures, each independent of the others: what operations return, how the statistics
change, and which events happen in which order.

Ours.
"""
