"""The pages around the API: site/, made by `python -m docs.generate`, and static/, their styles and modules."""
