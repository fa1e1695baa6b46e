"""Each module here with a `main()` is a benchmark; `python -m benchmarks [NAME...]` runs them."""
