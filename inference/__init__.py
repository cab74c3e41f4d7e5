"""A trained model in use: classify a sentence, see where attention goes, go on with a text.

Training, and measuring over a test set, live elsewhere.
"""
