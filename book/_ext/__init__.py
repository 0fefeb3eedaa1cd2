"""What the build adds to Sphinx; _config.yml names the extensions."""
