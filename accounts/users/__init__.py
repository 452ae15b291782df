"""Whose account it is: addresses, user names, passwords, invitations."""
