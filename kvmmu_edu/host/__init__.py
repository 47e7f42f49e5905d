"""The host process whose memory the guest's memory is."""
