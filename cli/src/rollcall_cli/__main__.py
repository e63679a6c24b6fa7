"""`python -m rollcall_cli`."""

from rollcall_cli.app import main

if __name__ == "__main__":
    main()
