"""What PyTorch's files hold; `zoo.readers.pytorch` is the door."""
