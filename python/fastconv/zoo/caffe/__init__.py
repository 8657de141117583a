"""Caffe's networks: from the messages in its files to layers."""
