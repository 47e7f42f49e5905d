"""A model of the MMU half of Linux KVM on x86, to run, to step through and to take apart."""

__version__ = "0.1.0"
