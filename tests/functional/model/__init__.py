"""The laws as a state machine: random steps against a plain model, with concurrent requests."""
