"""The data folder, and all that reads, makes or examines one: reader, builder, own texts, split, audit, copies.

A folder's rows as tensors and batches are dataset.py's.
"""
