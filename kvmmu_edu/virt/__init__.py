"""The half of KVM that knows no architecture: ``virt/kvm`` in the kernel."""
