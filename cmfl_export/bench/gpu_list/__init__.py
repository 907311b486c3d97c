"""The GPU list (`make gpu`): one command that measures the project on an NVIDIA GPU, or tiny on the CPU."""
