"""One module for each command of the command line; ``rollcall_agent.cli`` registers them."""
