"""Scripts that run on a device with nothing but a POSIX shell, and how they answer."""
