"""Mails to customers and about their accounts, and the reports by mail."""
