"""What `cmfl bench` measures, and how: `run.bench` and `training_run.bench_training` are the ways in."""
