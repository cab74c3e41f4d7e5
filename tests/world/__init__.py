"""The made-up world of the tests: made by code, and no two of its measured numbers are alike."""
