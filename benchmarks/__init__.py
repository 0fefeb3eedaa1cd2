"""What a step costs, against the ideal and beside other packages: ``python -m benchmarks``."""
