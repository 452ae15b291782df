"""Where each security promise of the product has its test.

| promise | test |
|---|---|
| nothing phones home | `tests/security/test_nothing_phones_home.py` |
| slow connections do not stop the service | `tests/faceapi/request/test_slow_clients.py` |
| an AppKey without its secret is worth nothing | `tests/faceapi/authentication/test_unsigned.py` |
| logins and forms are throttled | `tests/console/test_throttles.py` |
| passwords are hashed within bounds | `tests/accounts/test_passwords.py` |
| parsers stay linear | `tests/faceapi/request/test_splitter.py` |
| hostile files are answered | `tests/faceapi/test_hostile.py` |
| picture URLs reach no internal address | `tests/faceapi/request/test_fetching.py` |
| verified addresses, limited free use, invitations | `tests/console/test_registration.py` |
| an Idempotency-Key is charged once, for one content | `tests/faceapi/limits/test_idempotency.py` |
| lookups in /admin read no secret | `tests/security/test_records_lookups.py` |
| links and mails stay out of logs and off the Host header | `tests/common/test_mail.py` |
| operators: not on oneself, four eyes, masked codes | `tests/security/test_operators.py` |
| the application cannot rewrite history | `tests/security/test_database_role.py` |
| audit entries are in the log stream | `tests/security/test_audit_log.py` |
| the inference worker has no secret and no database | `tests/security/test_worker_privileges.py` |
| containers are confined; Valkey's users | `tests/security/test_containers.py` |
| headers and sessions | `tests/console/test_sessions.py`, `tests/console/test_security.py` |
| a picture leaves no trace (the canary search) | `tests/faceapi/test_privacy.py` |
"""
