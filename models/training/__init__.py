"""Training of the small classifiers that this project ships: ``python -m models.training resnet18-cifar10``."""
