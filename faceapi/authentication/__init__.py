"""Who calls: signature, AppKey and the guard against replay."""
