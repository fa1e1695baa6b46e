"""`convsmith kernels` and `convsmith kernels show`."""
