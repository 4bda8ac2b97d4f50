"""Each test here is a device of its own."""

from tests.own_device import device, roots

__all__ = ["device", "roots"]
