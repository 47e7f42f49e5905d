"""Tasks and what keeps them apart: locks, RCU, shared cells, the clock."""
