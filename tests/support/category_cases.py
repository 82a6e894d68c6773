"""What the tests of the categories' benchmark share: the settings and boxes that they judge."""

from stageline.core.settings import Settings

SETTINGS = Settings(device="cpu")
LEFT, RIGHT = [0.0, 0.0, 100.0, 100.0], [100.0, 0.0, 200.0, 100.0]
MAPPED = {"apple": "red", "broccoli": "green"}
