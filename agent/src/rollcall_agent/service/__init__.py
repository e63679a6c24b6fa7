"""The agent as a service of its host: systemd, launchd, or the Windows service manager."""
