"""How many heads the face detector finds, and how many can still be seen in the privacy copy."""
