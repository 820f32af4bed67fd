"""The specification: one folder for each package and for deploy, what they share in `support`."""
