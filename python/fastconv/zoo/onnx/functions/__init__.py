"""Functions of tensors that say what operators of ONNX compute, for any number of axes.

Pictures and filters go through the kernels of `fastconv.functional`; the rest is NumPy.
"""
