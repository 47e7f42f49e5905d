"""The host process whose memory the guest's memory is: what Linux mm knows and KVM asks."""
