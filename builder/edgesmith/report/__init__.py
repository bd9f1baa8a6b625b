"""Reports: read, judged and shown."""
