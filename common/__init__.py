"""What every room needs: files written whole or not at all, errors for users to read, checked settings, seeds.

Nothing here knows of models, texts or numbers of this laboratory.
"""
