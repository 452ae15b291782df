"""Detection, alignment, attributes, embeddings and quality of the faces in a picture."""
