"""What transformer.py is built with: its configuration, named places, word vectors, and faster layers than PyTorch's."""
