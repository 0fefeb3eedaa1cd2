"""Stands in for the module that Colab has imported before the first cell runs."""
