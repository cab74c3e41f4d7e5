"""Questions put to models: the report's three parts and claims, ablation, measurement; and where runs are computed.

A study returns results; how they are shown is reporting's.
"""
