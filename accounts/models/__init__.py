"""The tables of accounts/: users, Apps with their keys, and the records of operators' actions."""

from accounts.models.apps import App as App
from accounts.models.apps import AppKey as AppKey
from accounts.models.apps import Region as Region
from accounts.models.apps import new_app_id as new_app_id
from accounts.models.digests import DigestKind as DigestKind
from accounts.models.digests import DigestPeriod as DigestPeriod
from accounts.models.digests import DigestSubscription as DigestSubscription
from accounts.models.operators import AuditEntry as AuditEntry
from accounts.models.operators import PendingAct as PendingAct
from accounts.models.users import Invitation as Invitation
from accounts.models.users import User as User
from accounts.models.users import UserManager as UserManager
