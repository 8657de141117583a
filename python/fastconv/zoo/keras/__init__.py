"""What Keras's two families of files share: HDF5, configurations, and the network they describe."""
