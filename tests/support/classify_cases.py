"""Labels and boxes that the tests of the classify stage share."""

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT = [20.0, 14.0, 28.0, 22.0], [44.0, 8.0, 52.0, 16.0], [12.0, 32.0, 20.0, 40.0]
LABELS = ["red", "green", "blue"]
