"""TensorFlow graphs and checkpoints; `zoo.readers.tensorflow` is the door."""
