"""Identity of accounts: addresses, user names, passwords, invitations."""
