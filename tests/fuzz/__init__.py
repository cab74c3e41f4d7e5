"""Inputs that nobody would write, for every reader and command, in one process: what each does with them, counted."""
