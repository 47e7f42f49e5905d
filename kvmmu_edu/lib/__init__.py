"""What the kernel has in ``lib/``: the trees."""
