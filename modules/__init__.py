"""What transformer.py is built with: its configuration, hook points, word vectors, layers that PyTorch lacks."""
