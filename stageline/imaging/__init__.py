"""The parts of reading pictures. Only `stageline.images` uses them; they use nothing of Stageline but its errors."""
