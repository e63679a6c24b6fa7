"""The stack, its deployment and its rehearsal in an emulated cloud."""
