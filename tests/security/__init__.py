"""Where each security promise of the product has its test.

| promise | test |
|---|---|
| nothing phones home | `tests/security/test_nothing_phones_home.py` |
| the inference worker has no secret and no database | `tests/security/test_worker_privileges.py` |
"""
