"""Caffe2's networks: from the operators in its files to layers."""
