"""Scenarios: programs of ioctls, guest accesses and host work, one operation a line.

The recordings of the real kernel are such programs; so are those that a reader writes.

Ours.
"""
