"""The parts of reading pictures. Only `stageline.imaging.codec` uses them; they use nothing of Stageline but its errors."""
