"""The wallet, vouchers and refunds."""
