"""Reading of PNG and JPEG files without a decoder.

Standard library only, linear in the file size and bounded: this runs in the web process, before the debit.
"""
