"""What the documentation pages compute: code samples and the model card."""
