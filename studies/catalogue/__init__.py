"""The catalogue: every recipe, question and claim as data, and what the report published."""
