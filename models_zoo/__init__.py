"""Published models, one folder per model."""
