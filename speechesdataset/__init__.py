"""The data folder, and all that makes or examines data: builder, presidents, own texts, split, audit, near copies.

Reading a data folder for a model is dataset.py's.
"""
