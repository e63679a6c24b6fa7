"""Rollcall's control plane: enrolls agents, hears their beats, keeps the evidence."""
