"""The convolutional networks whose feature statistics define style."""
