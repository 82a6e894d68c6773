"""What is run by hand, by make or by CI."""
