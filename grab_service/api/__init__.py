"""What goes over HTTP: schemas, problems, answers, connections. May use: no other room."""
