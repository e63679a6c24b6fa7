"""What runs inside of a measured process; nothing here is imported by the bench itself."""
