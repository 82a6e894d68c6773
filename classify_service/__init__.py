"""Says what the findings are: categories of the picture and of its objects, embeddings of its faces."""
