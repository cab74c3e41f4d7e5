"""How fast Orator is, beside library modules of the same size and beside what the processor can do."""
