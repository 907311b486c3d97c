"""What everything stands on: the standard library alone. Each module here is public as it is."""
