"""The bundle: manifest, deterministic archive and verification."""
