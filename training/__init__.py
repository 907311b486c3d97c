"""The PyTorch side: the network, its loss, its training."""
