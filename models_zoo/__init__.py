"""Published models, one folder each."""
