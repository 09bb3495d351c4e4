"""A package, so that test_imports.py here and another in a folder below have different names."""
