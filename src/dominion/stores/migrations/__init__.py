"""The steps from each schema to the next. To add one: change `schema.py` and its HEAD, add a file to `versions`."""
