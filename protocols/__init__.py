"""Who is in train, dev and eval: protocol files, read and checked."""
