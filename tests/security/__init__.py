"""The security properties of the product, each with its test.

| property | test |
|---|---|
| no process sends telemetry | `tests/security/test_nothing_phones_home.py` |
| slow connections and uploads do not stop the service | `tests/faceapi/request/test_slow_clients.py` |
| an AppKey without its secret grants nothing | `tests/faceapi/authentication/test_unsigned.py` |
| fairness among customers; unpaid work | `tests/faceapi/limits/test_fairness.py` |
| overload is refused cheaply | `tests/faceapi/limits/test_overload.py` |
| logins and forms are throttled | `tests/console/access/test_throttles.py` |
| limits on concurrent password hashing | `tests/accounts/test_passwords.py` |
| parsers take linear time | `tests/security/test_parsers.py` |
| hostile files get an error code | `tests/faceapi/test_hostile.py` |
| picture URLs reach no internal address; shares of the downloads | `tests/faceapi/request/test_fetching.py` |
| host name look-ups respect the deadline | `tests/faceapi/request/test_name_lookup.py` |
| notices go to verified addresses, as one digest | `tests/billing/test_notices.py` |
| a request is served once, even after Valkey was lost | `tests/faceapi/authentication/test_replay.py` |
| verified addresses, limited free use, invitations | `tests/console/access/test_registration.py` |
| an Idempotency-Key is charged once, for one content | `tests/faceapi/limits/test_idempotency.py` |
| lookups in /admin cannot read secrets | `tests/security/test_records_lookups.py` |
| links and mails are not logged, and do not use the Host header | `tests/common/test_mail.py` |
| operators: own accounts, approvals, masked codes | `tests/security/test_operators.py` |
| the application cannot rewrite history | `tests/security/test_database_role.py` |
| audit entries are in the log stream | `tests/security/test_audit_log.py` |
| the inference worker has no secret and no database | `tests/security/test_worker_privileges.py` |
| containers are confined; Valkey's users | `tests/security/test_containers.py` |
| waits for hanging services are bounded | `tests/common/test_hanging_services.py` |
| headers and sessions | `tests/console/access/test_sessions.py`, `tests/console/access/test_security.py` |
| a picture leaves no trace (the canary search) | `tests/faceapi/test_privacy.py` |
"""
