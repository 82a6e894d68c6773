"""What every stage of the line shares, once: messages, queues, the object store, the worker loop, inference."""

__version__ = "0.2.0"
