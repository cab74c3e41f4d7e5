"""The data folder, and the builder of its files (see README.md)."""
