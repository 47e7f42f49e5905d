"""The x86 half of KVM's MMU: ``arch/x86/kvm/mmu`` in the kernel."""
