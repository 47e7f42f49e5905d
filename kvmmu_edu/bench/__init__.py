"""What costs how much: the work that ``kvmmu-edu bench`` measures.

Ours.
"""
