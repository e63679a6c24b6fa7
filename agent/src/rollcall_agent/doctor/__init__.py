"""`rollcall-agent doctor`: what could keep this agent from working, and what to do about it."""
