"""The suite on real kernels: guests of qemu that run a selection of the tests as an ordinary user."""
