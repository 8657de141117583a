"""The networks: LeNet-5, AlexNet, VGG, GoogLeNet and ResNet, the last also for CIFAR-10.

State dicts have torchvision's names and shapes where torchvision has the network.

>>> from fastconv import models
>>> net = models.lenet5()
>>> sum(p.size for p in net.parameters())
61706
>>> models.input_shape("alexnet", "caffe")
(3, 227, 227)
"""

from __future__ import annotations

from .alexnet import AlexNet, CaffeAlexNet, alexnet
from .googlenet import GoogLeNet, GoogLeNetOutput, googlenet
from .lenet import LeNet5, lenet5
from .registry import get, input_shape, list_models, variants
from .resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from .resnet_cifar import CifarResNet, resnet20, resnet32, resnet44, resnet56, resnet110
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "AlexNet",
    "CaffeAlexNet",
    "CifarResNet",
    "GoogLeNet",
    "GoogLeNetOutput",
    "LeNet5",
    "ResNet",
    "alexnet",
    "get",
    "googlenet",
    "input_shape",
    "lenet5",
    "list_models",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "variants",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]
