"""Content of the documentation pages that is computed: code samples and the model card."""
