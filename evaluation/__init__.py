"""How good a model is: accuracy, perplexity, attention statistics, models that only count words, statistics over seeds.

Nothing is trained or written here.
"""
