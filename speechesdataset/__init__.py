"""The data folder, and all that reads, makes or examines one: reader, builder, import, split, audit, copies.

A folder's rows as tensors and batches are dataset.py's.
"""
