"""The commands: one dataclass each, its options and what it does. Parsing is common/arguments.py's work.

Only what the parser needs is imported above; each command imports its own modules, so that --help comes at once.
"""
