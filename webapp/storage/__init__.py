"""Files: their paths, their clean-up, their backup."""
