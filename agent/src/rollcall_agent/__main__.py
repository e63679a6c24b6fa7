"""Run the agent as ``python -m rollcall_agent``."""

from rollcall_agent.cli import main

if __name__ == "__main__":
    main()
