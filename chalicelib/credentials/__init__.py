"""The credential families: one file each, one outcome for all."""
