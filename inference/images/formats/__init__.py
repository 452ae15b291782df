"""The two file formats that are served, PNG and JPEG, as far as they are read without a decoder.

Standard library only, linear in the size of the file, and bounded: this runs in the web process, before the
debit.
"""
