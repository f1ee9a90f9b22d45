"""What happens when a service starts: beside another that works, and on a database that it does not know."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qlmhook import models
from qlmhook.config import CONFIG_VARIABLE, load_settings
from qlmhook.errors import ConfigurationError, SourceRefused
from qlmhook.intake import Credentials
from qlmhook.service import Service
from tests.avangate.orders import Line, Order
from tests.conftest import Configure, Shop
from tests.test_registry import Install, plugin

__all__ = ["install"]
