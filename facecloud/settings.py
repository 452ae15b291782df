"""All settings, read from the environment here and in settings_worker.py, and listed in .env.example."""

from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir

from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from common.celery import queues
from facecloud.env import read_dotenv

read_dotenv()  # before anything is read from the environment

from facecloud.settings_worker import *  # noqa: E402, F403 - what every process of the product has
from facecloud.settings_worker import BASE_DIR, PICTURE_MAX_S, VAR_DIR, env  # noqa: E402

# --- Secrets -----------------------------------------------------------------
SECRET_KEY = env.str("DJANGO_SECRET_KEY")
# Fernet keys that encrypt the SecretKeys at rest: the first encrypts, all decrypt (rotation).
ENCRYPTION_KEYS: list[str] = env.fernet_keys("ENCRYPTION_KEY")

# --- Web ---------------------------------------------------------------------
DEBUG = env.bool("DJANGO_DEBUG", default=False)
ALLOWED_HOSTS = env.hosts("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])
# The base of absolute links, mainly in mails; the Host header of a request is never used for them.
SITE_URL = env.origin("SITE_URL", default="")
# Read by deploy/gunicorn.conf.py. gunicorn silently accepts `workers=0`, so reject it here.
WEB_WORKERS = env.count("WEB_WORKERS", default=2)
# Connections of one web process; when it is full, the connection that has been idle longest is closed. The
# limit for each client address does not apply to TRUSTED_PROXIES.
WEB_CONNECTIONS = env.count("WEB_CONNECTIONS", default=1000)
WEB_CONNECTIONS_PER_ADDRESS = env.count("WEB_CONNECTIONS_PER_ADDRESS", default=100)
# Each thread serves one call or page. A fifth of them is for pages; the rest, for the API, must be as many as
# CALLS_AT_ONCE and UPLOADS_AT_ONCE together, so that excess calls are rejected at once.
WEB_THREADS = env.count("WEB_THREADS", default=48)
# The URL at which the debugger calls the API; empty: the port that served the debugger's page.
SELF_URL = env.str("SELF_URL", default="")
SECURE_COOKIES = env.bool("SECURE_COOKIES", default=False)  # true behind TLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # forms and htmx carry the token themselves
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE_COOKIES else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS must not affect other hosts of the operator's domain
    "security.W008",  # the proxy that terminates TLS redirects plain HTTP, except for /healthz
    "security.W021",  # preloading concerns the whole domain, which is the operator's decision
]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# No inline scripts or styles; a view that needs more relaxes its own policy (csp.decorators).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
ROOT_URLCONF = "facecloud.urls"
WSGI_APPLICATION = "facecloud.wsgi.application"

INSTALLED_APPS = [
    "operations.admin_config.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "facecloud.static_files.ServedFiles",
    "django.forms",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "heroicons",
    "csp",
    "axes",
    "accounts",
    "billing",
    "gallery",
    "faceapi",
    "console",
    "operations",
    "facecloud",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "faceapi.middleware.ApiMiddleware",
    "operations.monitoring.metrics.ScrapeMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "console.middleware.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "console.middleware.text_input.PlainTextMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "console.middleware.sessions.NoStoreMiddleware",
    "console.middleware.sessions.SessionLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "console.middleware.throttle.BusyMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context.shell",
                "operations.access.granted",
            ],
        },
    },
]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # so that widgets can use our templates

# A telephone number or an address, shown to customers who need a top-up. Empty: nothing is shown.
SUPPORT_CONTACT = env.str("SUPPORT_CONTACT", default="")

# --- Data --------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres:///facecloud")}
# Set only for `migrate`, which then connects as this owner of the tables and grants the role of DATABASE_URL
# what the application needs (facecloud/database_role.py). Empty: the role of DATABASE_URL is also the owner.
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="")
APPLICATION_DATABASE = DATABASES["default"] if DATABASE_OWNER_URL else None
if DATABASE_OWNER_URL:
    DATABASES = {"default": env.db_url("DATABASE_OWNER_URL")}
# PgBouncer in transaction mode rejects startup options and cannot keep cursors across transactions.
DB_PGBOUNCER = env.bool("DB_PGBOUNCER", default=False)
# Database connections of one web process, shared by its threads, and how long an idle one stays open.
DB_CONNECTIONS = env.count("DB_CONNECTIONS", default=16)
DB_CONN_MAX_AGE_S = env.int("DB_CONN_MAX_AGE_S", default=30)
# Timeouts for PostgreSQL: connecting; a statement and a lock in a web process; a statement of a scheduled
# task; a lock in a migration.
DB_CONNECT_TIMEOUT_S = env.count("DB_CONNECT_TIMEOUT_S", default=5)
DB_STATEMENT_TIMEOUT_S = env.float("DB_STATEMENT_TIMEOUT_S", default=10.0)
DB_LOCK_TIMEOUT_S = env.float("DB_LOCK_TIMEOUT_S", default=5.0)
DB_TASK_TIMEOUT_S = env.float("DB_TASK_TIMEOUT_S", default=900.0)
DB_MIGRATION_LOCK_TIMEOUT_S = env.float("DB_MIGRATION_LOCK_TIMEOUT_S", default=5.0)
DATABASES["default"] |= {
    "ENGINE": "common.postgresql",  # Django's own, with limits and a pool
    "CONN_MAX_AGE": DB_CONN_MAX_AGE_S,
    "CONN_HEALTH_CHECKS": True,
    "DISABLE_SERVER_SIDE_CURSORS": DB_PGBOUNCER,
    "OPTIONS": {
        "connect_timeout": DB_CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,  # detects a dead host within 25 s on an idle connection
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,  # and within 15 s while sending
        **DATABASES["default"].get("OPTIONS", {}),
    },
}
# Calendar months that are kept besides the current one; 0: all. Calls and debits are dropped by month, after
# reconcile has proved it; hourly and daily sums are never deleted before their calls.
CALLS_KEPT_MONTHS = env.months("CALLS_KEPT_MONTHS", default=13)
USAGE_KEPT_MONTHS = env.months("USAGE_KEPT_MONTHS", default=37)
NOTICES_KEPT_MONTHS = env.months("NOTICES_KEPT_MONTHS", default=13)
# Partitioned by month of their ids (billing/books/months.py).
MONTHLY_TABLES = ("billing_debit", "billing_debitline", "faceapi_call")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Customers ---------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "accounts.users.passwords.PasswordBackend",
]
PASSWORD_HASHERS = [
    "accounts.users.passwords.PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "accounts.users.passwords.KnownPasswordValidator"},
]
# Who may register: anyone (open), only people invited by an operator (invited), or no one (closed).
REGISTRATION = env.choice("REGISTRATION", default="open", choices=["open", "invited", "closed"])
# Free packages that one customer may have at a time.
FREE_PACKAGES_PER_CUSTOMER = env.count("FREE_PACKAGES_PER_CUSTOMER", default=12)
# A session ends after this many minutes without a request, and this many hours after the login in any case.
SESSION_IDLE_MINUTES = env.count("SESSION_IDLE_MINUTES", default=480)
SESSION_HOURS = env.count("SESSION_HOURS", default=168)
OPERATOR_SESSION_IDLE_MINUTES = env.count("OPERATOR_SESSION_IDLE_MINUTES", default=30)
OPERATOR_SESSION_HOURS = env.count("OPERATOR_SESSION_HOURS", default=12)
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
# Password-reset links expire after an hour.
PASSWORD_RESET_TIMEOUT = 3600
# POST requests that one client address (for IPv6, one /64 network) may send for all accounts together: logins
# and password resets within 15 minutes, registrations within an hour.
LOGINS_PER_ADDRESS = env.count("LOGINS_PER_ADDRESS", default=100)
REGISTRATIONS_PER_ADDRESS = env.count("REGISTRATIONS_PER_ADDRESS", default=30)
# Five wrong passwords for one name from one address lock the login for fifteen minutes.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True  # kept like logins (accounts/tasks.py); attempts are deleted by axes
AXES_VERBOSE = False  # otherwise each process logs the version of axes
AXES_ENABLE_ADMIN = False  # operators see its tables under Records
AXES_LOCKOUT_TEMPLATE = "accounts/locked.html"
AXES_USERNAME_CALLABLE = "console.middleware.throttle.counted_name"
AXES_CLIENT_IP_CALLABLE = "console.middleware.throttle.caller"
# Views that take pictures have a handler of their own, which keeps them in memory.
FILE_UPLOAD_HANDLERS = ["console.debugging.uploads.NoFiles"]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/console/"
LOGOUT_REDIRECT_URL = "/"

# The amount that one operator may grant one customer within 24 hours (top-ups, vouchers, refunds, added
# months). Larger amounts need the approval of a second operator within APPROVAL_HOURS.
APPROVAL_ABOVE_YUAN = env.money("APPROVAL_ABOVE_YUAN", default="10000")
APPROVAL_TIME = timedelta(hours=env.count("APPROVAL_HOURS", default=72))

# --- Language, time, static files ---------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("简体中文")), ("en", _("英语"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "console.formats"
USE_I18N = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
# True: serve the output of `manage.py collectstatic`, compressed and with hashed names that browsers cache
# for a year (bin/start, the image). False: serve the files of the checkout (tests).
STATIC_MANIFEST = env.bool("STATIC_MANIFEST", default=False)
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- The signed API ------------------------------------------------------------
CLOCK_SKEW_S = env.int("CLOCK_SKEW_S", default=300)  # ahead or behind
BODY_MAX_BYTES = env.int("BODY_MAX_BYTES", default=1_402_000_000)  # 100 images of 10 MiB as base64, plus text
# A body may take BODY_GRACE_S, plus one second for every BODY_MIN_BYTES_PER_S received.
BODY_GRACE_S = env.float("BODY_GRACE_S", default=20.0)
BODY_MIN_BYTES_PER_S = env.int("BODY_MIN_BYTES_PER_S", default=64 * 1024)
# Limits for decoded images of one web process: in anonymous memory, and in memory plus an unnamed file.
SPOOL_MEMORY_BYTES = env.int("SPOOL_MEMORY_BYTES", default=1536 * 1024 * 1024)
SPOOL_MAX_BYTES = env.int("SPOOL_MAX_BYTES", default=4 * 1024 * 1024 * 1024)
SPOOL_DIR = env.folder("SPOOL_DIR", default=gettempdir())
# The addresses of our own proxies (CIDR); X-Forwarded-For is only trusted from these.
TRUSTED_PROXIES: list[str] = env.networks("TRUSTED_PROXIES")
# The deadline of a call: seconds from the arrival of its images to code 5004, and more for each image.
DEADLINE_S = env.float("DEADLINE_S", default=30.0)
DEADLINE_PER_IMAGE_S = env.float("DEADLINE_PER_IMAGE_S", default=2.0)
# While no worker is alive, calls wait until the last heartbeat is this old, because the worker may be
# restarting. After that they get 5003 at once.
WORKER_RETURN_S = env.float("WORKER_RETURN_S", default=30.0)
# /readyz and the live page call a worker stuck if all its slots have held the same chunks for this long: a
# chunk has up to four pictures, each of which may take PICTURE_MAX_S.
WORKER_STUCK_S = env.float("WORKER_STUCK_S", default=max(DEADLINE_S, 4 * PICTURE_MAX_S))
# face_compare returns "true" from this confidence up: 70 accepts one in 10,000 pairs of strangers of the same
# gender, age group and ethnic group.
COMPARE_SAME_FROM = env.float("COMPARE_SAME_FROM", default=70.0)
# Calls that one web process handles concurrently.
CALLS_AT_ONCE = env.count("CALLS_AT_ONCE", default=24)
# Slow uploads that one web process reads concurrently; if there are more, the slowest are aborted.
UPLOADS_AT_ONCE = env.count("UPLOADS_AT_ONCE", default=12)
# Bytes per minute that are read from one client address without a valid signature; above that, 4291.
UNVERIFIED_BYTES_PER_MINUTE = env.count("UNVERIFIED_BYTES_PER_MINUTE", default=64 * 1024 * 1024)
# Worker seconds per minute for calls of one customer that fail or whose client disconnects; above that, 4291.
UNPAID_S_PER_MINUTE = env.count("UNPAID_S_PER_MINUTE", default=30)
# Chunks that may wait for a worker.
QUEUE_MAX_CHUNKS = env.count("QUEUE_MAX_CHUNKS", default=200)
# Images by URL. URLs in private networks are rejected unless listed in URL_ALLOWED_NETWORKS (CIDR).
URL_TIMEOUT_S = env.float("URL_TIMEOUT_S", default=10.0)
URL_FETCHERS = env.count("URL_FETCHERS", default=32)  # concurrent downloads of one web process
URL_CALLS_PER_CUSTOMER = env.count("URL_CALLS_PER_CUSTOMER", default=4)  # concurrent calls that fetch URLs
URL_ALLOWED_NETWORKS: list[str] = env.networks("URL_ALLOWED_NETWORKS")
# The name servers for their host names (address, or address#port); empty: those of /etc/resolv.conf.
URL_NAME_SERVERS: list[str] = env.name_servers("URL_NAME_SERVERS")
IDEMPOTENCY_HOURS = env.int("IDEMPOTENCY_HOURS", default=24)
IDEMPOTENCY_ANSWER_S = env.int("IDEMPOTENCY_ANSWER_S", default=300)  # how long Valkey keeps the reply

# --- The face gallery ------------------------------------------------------------
# False: no face can be enrolled, searched or compared; stored faces can still be listed and deleted.
GALLERY = env.bool("GALLERY", default=True)
# Faces that an App may store; operators change it for one App.
GALLERY_FACES_PER_APP = env.count("GALLERY_FACES_PER_APP", default=10_000)
# A larger group is searched through an index, which is faster but misses some matches (docs/benchmarks.md).
GALLERY_EXACT_FACES = env.count("GALLERY_EXACT_FACES", default=20_000)
# Operators are warned from this number of stored persons on: in China, the processing of the faces of 100 000
# persons must be filed with the authority (the 2025 rules on the security of face recognition).
GALLERY_PERSONS_WARNING = env.count("GALLERY_PERSONS_WARNING", default=90_000)

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "人脸识别 API",
    "DESCRIPTION": "人脸检测定位、人脸属性识别、人脸比对 · face detection, analysis and comparison",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["faceapi.schema.only_documented"],
    "POSTPROCESSING_HOOKS": ["faceapi.schema.add_components"],
}

# --- Celery: the scheduled work and mail (the inference pool: facecloud/settings_worker.py) ------
CELERY_TASK_DEFAULT_QUEUE = queues.SCHEDULED
CELERY_TASK_QUEUES = {name: {"exchange": name} for name in (queues.SCHEDULED, queues.MAIL)}
CELERY_TASK_ROUTES = {
    "billing.send_notices": {"queue": queues.MAIL},
    "console.send_password_reset": {"queue": queues.MAIL},
    "console.send_link": {"queue": queues.MAIL},
    "console.send_news": {"queue": queues.MAIL},
    "console.send_invitation": {"queue": queues.MAIL},
    "console.send_digests": {"queue": queues.MAIL},
    "operations.send_digests": {"queue": queues.MAIL},
}
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = queues.SLOTS
CELERY_BEAT_SCHEDULER = "common.celery.liveness.Scheduler"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    "sweep-holds": {"task": "billing.sweep_holds", "schedule": 60.0, "options": {"expires": 55}},
    "sweep-answers": {"task": "faceapi.sweep_answers", "schedule": 60.0, "options": {"expires": 55}},
    "apply-scheduled-changes": {
        "task": "billing.apply_scheduled_changes",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "expire-orders": {"task": "billing.expire_orders", "schedule": 60.0, "options": {"expires": 55}},
    "send-digests": {
        "task": "console.send_digests",
        "schedule": crontab(minute="5,20,35,50"),
        "options": {"expires": 840},
    },
    "send-operators-digests": {
        "task": "operations.send_digests",
        "schedule": crontab(minute="10,25,40,55"),
        "options": {"expires": 840},
    },
    "send-notices": {"task": "billing.send_notices", "schedule": 300.0, "options": {"expires": 290}},
    "sample-usage": {
        "task": "billing.sample_usage",
        "schedule": crontab(minute=0, hour=0),
        "options": {"expires": 600},  # the usage of a later time is not that of midnight
    },
    "close-usage": {"task": "faceapi.close_usage", "schedule": 300.0, "options": {"expires": 290}},
    "mend-usage": {"task": "faceapi.mend_usage", "schedule": crontab(minute=10, hour=4)},
    "note-schedule": {"task": "common.note_schedule", "schedule": 60.0, "options": {"expires": 55}},
    "record-incidents": {
        "task": "operations.record_incidents",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "forget-idempotency-keys": {"task": "faceapi.forget_idempotency_keys", "schedule": 3600.0},
    "forget-invitations": {"task": "accounts.forget_invitations", "schedule": crontab(minute=45, hour=4)},
    "forget-logins": {"task": "accounts.forget_logins", "schedule": crontab(minute=50, hour=4)},
    "delete-expired-faces": {"task": "gallery.delete_expired", "schedule": crontab(minute=20, hour=2)},
    "index-large-groups": {
        "task": "gallery.index_large_groups",
        "schedule": 300.0,
        "options": {"expires": 290},
    },
    "reconcile-books": {"task": "billing.reconcile_books", "schedule": crontab(minute=30, hour=3)},
    "keep-months": {"task": "billing.keep_months", "schedule": crontab(minute=25, hour=4)},
    "forget-notices": {"task": "billing.forget_notices", "schedule": crontab(minute=35, hour=4)},
    "forget-usage": {"task": "faceapi.forget_usage", "schedule": crontab(minute=40, hour=4)},
}

# --- Metrics -----------------------------------------------------------------------
# /metrics is served to requests with this Bearer token; if it is empty, only to operators. It is not served
# by peer address: a local proxy that sets no X-Forwarded-For would then open it to everyone.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Mail ----------------------------------------------------------------------
# Without a mail server, mails are written to files in VAR_DIR/mail, and not to the log: their links can set a
# password.
EMAIL_FILE_PATH = str(VAR_DIR.absolute() / "mail")
vars().update(env.email_url("EMAIL_URL", default=""))
# For each step of an SMTP session; a whole mail may take six times as long.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT_S", default=10.0)
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="facecloud@localhost")

# --- Dotted paths of the checks of `manage.py reconcile`, by room ----
RECONCILE_CHECKS: list[str] = [
    "faceapi.usage.reconcile.usage_is_the_sum_of_calls",
    "faceapi.usage.reconcile.charged_calls_are_the_settled_debits",
    "gallery.reconcile.groups_count_their_faces",
    "gallery.reconcile.enrolled_faces_were_charged",
    "gallery.reconcile.faces_match_their_persons",
]
# Likewise, functions that `manage.py reencrypt_secrets` calls.
REENCRYPTED: list[str] = ["accounts.keys.reencrypt", "gallery.vectors.keys.reencrypt"]
