"""The application: routes, checks of requests, OpenAPI. May use: every other room."""
