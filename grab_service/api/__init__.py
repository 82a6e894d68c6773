"""HTTP formats and connections: schemas, problems, answers. May use: no other room."""
