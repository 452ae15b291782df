"""Images in, faces out: decoding, models, quality and scores. Knows no Django model, no money, no HTTP."""
