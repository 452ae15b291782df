"""The test of each security promise of the product.

| promise | test |
|---|---|
| nothing phones home | `tests/security/test_nothing_phones_home.py` |
| slow connections and uploads do not stop the service | `tests/faceapi/request/test_slow_clients.py` |
| an AppKey without its secret is worth nothing | `tests/faceapi/authentication/test_unsigned.py` |
| no customer starves another; work that is not paid for | `tests/faceapi/limits/test_fairness.py` |
| overload is refused cheaply | `tests/faceapi/limits/test_overload.py` |
| logins and forms are throttled | `tests/console/test_throttles.py` |
| passwords are hashed within bounds | `tests/accounts/test_passwords.py` |
| parsers stay linear | `tests/security/test_parsers.py` |
| hostile files are answered | `tests/faceapi/test_hostile.py` |
| picture URLs reach no internal address; shares of the downloads | `tests/faceapi/request/test_fetching.py` |
| host names are looked up within the deadline | `tests/faceapi/request/test_name_lookup.py` |
| notices go to verified addresses, as one digest | `tests/billing/test_notices.py` |
| a request is served once, also after Valkey was lost | `tests/faceapi/authentication/test_replay.py` |
| verified addresses, limited free use, invitations | `tests/console/test_registration.py` |
| an Idempotency-Key is charged once, for one content | `tests/faceapi/limits/test_idempotency.py` |
| lookups in /admin read no secret | `tests/security/test_records_lookups.py` |
| links and mails stay out of logs and off the Host header | `tests/common/test_mail.py` |
| operators: not on oneself, four eyes, masked codes | `tests/security/test_operators.py` |
| the application cannot rewrite history | `tests/security/test_database_role.py` |
| audit entries are in the log stream | `tests/security/test_audit_log.py` |
| the inference worker has no secret and no database | `tests/security/test_worker_privileges.py` |
| containers are confined; Valkey's users | `tests/security/test_containers.py` |
| services that hang are waited for within limits | `tests/common/test_hanging_services.py` |
| headers and sessions | `tests/console/test_sessions.py`, `tests/console/test_security.py` |
| a picture leaves no trace (the canary search) | `tests/faceapi/test_privacy.py` |
"""
