"""Will say what the findings are; passes pictures through until its models come."""
