"""What transformer.py is built with beside PyTorch: word vectors that words share, a vote, and what is there for speed.

A model's architecture is transformer.py's; nothing here knows of it.
"""
