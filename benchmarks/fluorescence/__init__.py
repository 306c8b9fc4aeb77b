"""The fluorescence benchmarks: images of meshes, point spread functions, and shapes back out of stacks."""
