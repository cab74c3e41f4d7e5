"""How a model comes to be: recipe, loop, optimizer, checkpoints, processes, the two tasks, and a run with its record.

Which runs are made, and what is said of them, is decided in studies/.
"""
