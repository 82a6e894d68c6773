"""Requests and answers of the API as models: they validate requests, and OpenAPI describes them."""
