"""The base of all other packages. It needs only the standard library, and each of its modules is public."""
