"""What the API takes and what it answers, as models: they check what comes in, and describe all of it in OpenAPI."""
